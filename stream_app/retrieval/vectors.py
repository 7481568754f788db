"""Which rows an index can hold, and which queries it can answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Rounding to float16 moves a component by at most 2**-11 of itself, so a norm by at most 5e-4.
NORM_TOLERANCE = 1e-3

NOTHING = -1
"""Position where there is no item; its score is -inf."""


def indexable(vectors: NDArray[np.float32]) -> NDArray[np.int32]:
    """Positions of the rows of `[N, d]` that are not zeros; all of them must have unit length.

    Raises `ValueError` otherwise: inner product ranks like cosine only on unit vectors, and HNSW
    loses a third of its recall at k = 100 when norms vary.
    """
    if vectors.ndim != 2:
        raise ValueError(f"item vectors have shape {list(vectors.shape)}; expected [N, d]")
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float32))
    wrong = np.flatnonzero((norms != 0) & ~(np.abs(norms - 1) <= NORM_TOLERANCE))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(
            f"item vector {row} has length {norms[row]:.4g} ({wrong.size} such rows); "
            "vectors must have unit length, or be zeros for an item without a vector"
        )
    return np.flatnonzero(norms).astype(np.int32)


def answerable(queries: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mask `[B]` of the queries that have a nearest item: not zeros, and finite."""
    squares: NDArray[np.float32] = np.einsum("bd,bd->b", queries, queries)
    return np.isfinite(squares) & (squares > 0)
