"""The item index: the nearest items of a user vector."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ItemIndex(Protocol):
    """Nearest items by inner product over unit-length vectors (so: cosine)."""

    kind: str
    """`exact` or `hnsw`."""

    def __len__(self) -> int:
        """Number of items held."""

    def search(
        self, vectors: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return positions `[B, k]` (int32) and scores `[B, k]` of the `k` best items, best first.

        A position is the row of the vectors that the index was built from: the catalogue's. Where
        fewer than `k` items exist, the rest is position -1 with score -inf; a query of zeros, or
        not finite, finds nothing. Equal scores come by position.
        """
