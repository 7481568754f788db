"""Exact search among the items that a mask allows: a category, or what rules leave."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.retrieval.build import LARGEST_EXACT
from stream_app.retrieval.exact import ExactIndex

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]
Mask = NDArray[np.bool_]

LARGEST = 100_000
"""Above it a mask leaves so much that the nearest of all items hold enough of it."""
MOST_SHARE = 0.9
"""The same of a mask that leaves more than this of more than `SMALL` items: a rule that excludes a
few must not make every search of a large catalogue an exact one."""
SMALL = LARGEST_EXACT
MOST_KEPT = 4
"""Masks whose items lie ready: at most 100 MB at 64 dimensions."""


class _Ready(NamedTuple):
    mask: Mask
    changes: int
    items: Indices
    exact: ExactIndex


class Within:
    """Use from one thread at a time."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._ready: OrderedDict[int, _Ready] = OrderedDict()

    def search(self, allowed: Mask, vectors: Floats, k: int) -> tuple[Indices, Floats] | None:
        """The `k` nearest available items `[B, k]` that `allowed` allows, as `ItemIndex.search`.

        `allowed` is by position, False at the end; the same array is taken to be the same mask.
        None for a mask of more than `LARGEST` items, or of nearly all of a large catalogue.
        """
        ready = self._ready.get(id(allowed))
        if ready is None or ready.changes != self._catalog.changes:
            size = len(self._catalog)
            there = self._catalog.has_vector
            if self._catalog.available is not None:
                there = there & self._catalog.available[:size]
            found = allowed[:size] & there
            allowed_now, all_now = np.count_nonzero(found), np.count_nonzero(there)
            if allowed_now > LARGEST or allowed_now > MOST_SHARE * all_now > MOST_SHARE * SMALL:
                return None
            items = np.append(np.flatnonzero(found), -1).astype(np.int32)
            exact = ExactIndex(self._catalog.vectors[items[:-1]])
            # It holds the mask, so that no other can have its address.
            ready = self._ready[id(allowed)] = _Ready(allowed, self._catalog.changes, items, exact)
        self._ready.move_to_end(id(allowed))
        if len(self._ready) > MOST_KEPT:
            self._ready.popitem(last=False)
        places, scores = ready.exact.search(vectors, k)
        return ready.items.take(places), scores
