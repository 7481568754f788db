"""The items nearest to each item, searched when first asked for and kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.retrieval.base import ItemIndex
from stream_app.retrieval.vectors import NOTHING

Indices = NDArray[np.int32]

_NOT_SEARCHED = -2


class Neighbours:
    """Nearest items by item vector, int32 `[N, m]`; use from one thread at a time.

    What is kept is dropped when vectors or availability change, so a catalogue that changes before
    every batch costs a search for each item asked for.
    """

    def __init__(self, catalog: Catalog, index: ItemIndex, most: int) -> None:
        """`index` is over the vectors of `catalog`; `most` neighbours are kept of an item."""
        self._catalog = catalog
        self._index = index
        self._most = most
        self._near: Indices = np.zeros((0, most), np.int32)
        self._seen = -1

    def of(self, items: Indices) -> Indices:
        """Neighbours `[..., m]` of items `[...]`, the nearest first; -1 for none and past the end.

        An item without a vector, and -1, have none.
        """
        self._fit()
        wanted = np.unique(items[items >= 0])
        missing = wanted[self._near[wanted, 0] == _NOT_SEARCHED]
        if len(missing):
            self._search(missing)
        return self._near.take(items, axis=0)

    def _search(self, items: Indices) -> None:
        found, _ = self._index.search(self._catalog.vectors_of(items), self._most + 1)
        # An item is its own nearest; where others are just as near, it may be missing.
        own = found == items[:, None]
        own[~own.any(axis=1), -1] = True
        self._near[items] = found[~own].reshape(len(items), self._most)

    def _fit(self) -> None:
        """Drop what is kept if it may be wrong; the last row is read by position -1."""
        if self._seen != self._catalog.changes or len(self._near) <= len(self._catalog):
            self._seen = self._catalog.changes
            rows = len(self._catalog) + 1
            if len(self._near) < rows:
                self._near = np.empty((rows + rows // 8, self._most), np.int32)
            self._near[:] = _NOT_SEARCHED
            self._near[-1] = NOTHING
