"""The part of item vectors that comes from the items' text alone, trained or joined live."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.ranking.batch import Floats, Indices


class TextParts:
    """Vectors of texts by catalogue position."""

    def __init__(self, trained: NDArray[np.floating], catalog: Catalog) -> None:
        """`trained` `[N, d]` are those of the release's items, unit rows, zeros without a text.

        The vector of an item that the release has none for is the vector of its text: nothing else
        is known of it.
        """
        nothing = np.zeros((1, trained.shape[1]), np.float32)
        self._trained = np.concatenate([trained.astype(np.float32), nothing])
        self._catalog = catalog
        self._own = catalog.has_vector.copy()

    def vectors_of(self, items: Indices) -> Floats:
        """Gather vectors `[..., d]` float32 of positions; zeros for -1 and where there is none."""
        size = len(self._trained) - 1
        inside = (items >= 0) & (items < size)
        vectors = self._trained.take(np.where(inside, items, size), axis=0)
        live = (items >= size) | (inside & ~self._own.take(np.where(inside, items, 0)))
        if live.any():
            np.copyto(vectors, self._catalog.vectors_of(items), where=live[..., None])
        return vectors
