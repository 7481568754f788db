"""The choice of an index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.retrieval.base import ItemIndex
from stream_app.retrieval.exact import ExactIndex
from stream_app.retrieval.hnsw import HnswIndex

INDEX_KINDS = ("auto", "exact", "hnsw")

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
