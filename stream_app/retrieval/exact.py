"""Exact search: all scores by one matrix product, then an exact top k that reads them twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.retrieval.vectors import NOTHING, answerable, indexable

Floats = NDArray[np.float32]
Keys = NDArray[np.uint64]

# Rows of scores made at a time: 64 rows of 10,000 items are 2.5 MB, which stays in the cache
# while they are read again; from 32 rows on the matrix product is at its full speed.
ROWS_AT_ONCE = 64
# Items are in blocks of at most 16; one block maximum per 16 scores leaves little to partition.
LARGEST_BLOCK = 16
# The columns are padded to whole SIMD registers (16 float32) for every block size.
COLUMN_MULTIPLE = LARGEST_BLOCK * 16

LOWEST = np.finfo(np.float32).min
LOW_HALF = np.uint64(0xFFFF_FFFF)
SIGN = np.uint32(0x8000_0000)


class ExactIndex:
    """The true nearest items; ties go to the lower position. Use from one thread at a time."""

    kind = "exact"

    def __init__(self, vectors: Floats) -> None:
        """Hold the rows of `[N, d]` that are not zeros; `ValueError` unless of unit length."""
        self._positions = indexable(vectors)
        count, dim = len(self._positions), vectors.shape[1]
        width = -(-max(count, 1) // COLUMN_MULTIPLE) * COLUMN_MULTIPLE
        self._matrix = np.zeros((dim, width), np.float32)
        self._matrix[:, :count] = vectors[self._positions].T
        # Kept between calls: fresh megabytes would cost page faults at every batch.
        self._scores = np.empty((ROWS_AT_ONCE, width), np.float32)
        self._is_candidate = np.empty((ROWS_AT_ONCE, width), np.bool_)

    def __len__(self) -> int:
        return len(self._positions)

    def search(self, vectors: Floats, k: int) -> tuple[NDArray[np.int32], Floats]:
        """The `k` nearest items `[B, k]`; nothing for a query of zeros. See `ItemIndex.search`."""
        positions = np.full((len(vectors), k), NOTHING, np.int32)
        scores = np.full((len(vectors), k), -np.inf, np.float32)
        found = min(k, len(self))
        if found > 0:
            for start in range(0, len(vectors), ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                keys = self._best(vectors[rows], found)
                unpack(keys, self._positions, positions[rows], scores[rows])
        return positions, scores

    def _best(self, queries: Floats, k: int) -> Keys:
        """The `k` best items of at most `ROWS_AT_ONCE` queries, as descending keys `[B, <=k]`.

        The k-th largest block maximum is a lower bound of the k-th best score (k blocks hold an
        item at least as good), so all items at or above it hold the top k and every tie with it,
        and they are few: about k of them at the block sizes used.
        """
        scores, mask = self._scores[: len(queries)], self._is_candidate[: len(queries)]
        np.matmul(queries, self._matrix, out=scores)
        scores[:, len(self) :] = -np.inf
        bound = _kth_largest_block(scores, k)
        bound[~answerable(queries)] = np.inf
        np.greater_equal(scores, bound[:, None], out=mask)
        rows, columns = np.divmod(np.flatnonzero(mask), scores.shape[1])
        counts = np.bincount(rows, minlength=len(queries))
        slots = np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]
        keys = np.zeros((len(queries), int(counts.max())), np.uint64)
        keys[rows, slots] = pack(scores[rows, columns], columns)
        keys.sort(axis=1)
        return keys[:, ::-1][:, :k]


def _kth_largest_block(scores: Floats, k: int) -> Floats:
    """The k-th largest of the block maxima of each row `[B]`.

    Block j holds the columns j, j + n, j + 2n, ...: the maximum over a block is then an
    elementwise maximum of long rows, which numpy does with SIMD.
    """
    rows, width = scores.shape
    block = LARGEST_BLOCK
    while block > 1 and width // block < 4 * k:  # few blocks would bound too low
        block //= 2
    maxima = scores.reshape(rows, block, width // block).max(axis=1) if block > 1 else scores
    place = maxima.shape[1] - k
    bound: Floats = np.partition(maxima, place, axis=1)[:, place]
    bound[bound == -np.inf] = LOWEST  # padding is -inf and must stay below any bound
    return bound


def pack(scores: Floats, columns: NDArray[np.int64]) -> Keys:
    """One integer per candidate that orders by score, then by lower column; never 0.

    The bits of a float32 order like an integer once the sign bit is flipped, and all bits where
    it is negative. Sorting 64-bit integers is SIMD in numpy; sorting pairs would not be.
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # + 0: -0.0 and 0.0 are one score
    ordered = bits ^ np.where(bits & SIGN, np.uint32(0xFFFF_FFFF), SIGN)
    return (ordered.astype(np.uint64) << np.uint64(32)) | (LOW_HALF - columns.astype(np.uint64))


def unpack(
    keys: Keys, item_positions: NDArray[np.int32], positions: NDArray[np.int32], scores: Floats
) -> None:
    """Write keys `[B, n]` into the first `n` columns of positions and scores; 0 is no item."""
    count = keys.shape[1]
    ordered = (keys >> np.uint64(32)).astype(np.uint32)
    bits = ordered ^ np.where(ordered & SIGN, SIGN, np.uint32(0xFFFF_FFFF))
    held = keys != 0
    columns = np.where(held, LOW_HALF - (keys & LOW_HALF), np.uint64(0)).view(np.int64)
    positions[:, :count] = np.where(held, item_positions[columns], NOTHING)
    scores[:, :count] = np.where(held, bits.view(np.float32), -np.inf)
