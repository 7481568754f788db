"""The choice of an index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.retrieval.base import ItemIndex
from stream_app.retrieval.exact import ExactIndex
from stream_app.retrieval.hnsw import HnswIndex

INDEX_KINDS = ("auto", "exact", "hnsw")

# CPU of a query at 64 dimensions in batches of 256, k = 64 to 128 (benchmarks/retrieval.py): exact
# 40 us against 50 to 90 at 10,000 items, 160 against 120 to 210 at 50,000, 330 against 160 to 280
# at 100,000. Up to the crossing, exact misses nothing and is built in milliseconds, not in 10 s.
LARGEST_EXACT = 50_000


def build_index(vectors: NDArray[np.float32], kind: str = "auto") -> ItemIndex:
    """Index the item vectors `[N, d]` (unit length; a row of zeros is left out).

    Raises `ValueError` for an unknown kind and for vectors that are not of unit length.
    """
    if kind not in INDEX_KINDS:
        raise ValueError(f"index {kind!r} is unknown; use one of {', '.join(INDEX_KINDS)}")
    if kind == "auto":
        kind = "exact" if len(vectors) <= LARGEST_EXACT else "hnsw"
    return ExactIndex(vectors) if kind == "exact" else HnswIndex(vectors)
