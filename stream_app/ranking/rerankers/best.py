"""The best by score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.ranking.batch import NONE, Floats, UserBatch
from stream_app.ranking.candidates import Ranking

_MAGNITUDE = np.int32(0x7FFF_FFFF)
_LOW_HALF = np.int64(0xFFFF_FFFF)


class Best:
    """The `width` best candidates in order; ties go to the earlier column.

    `width` is `k` and a reserve, so that rerankers after this one can drop items and still fill
    the list.
    """

    name = "best"

    def __init__(self, width: int) -> None:
        self._width = width

    def rerank(self, ranking: Ranking, users: UserBatch) -> Ranking:
        """Return at most `width` columns, best first."""
        keys = _keys(ranking.scores)
        place = keys.shape[1] - self._width
        if place > 0:
            keys = np.partition(keys, place, axis=1)[:, place:]
        columns = _LOW_HALF - (np.sort(keys, axis=1)[:, ::-1] & _LOW_HALF)
        scores = np.take_along_axis(ranking.scores, columns, axis=1)
        items = np.take_along_axis(ranking.items, columns, axis=1)
        return Ranking(np.where(scores == -np.inf, np.int32(NONE), items), scores)


def _keys(scores: Floats) -> NDArray[np.int64]:
    """One integer per column that orders by score, then by lower column.

    The bits of a float32 order like an integer once the magnitude bits of the negative ones are
    flipped; numpy partitions 64-bit integers with SIMD, and has nothing as fast for positions.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # + 0: -0.0 and 0.0 are one score
    ordered = bits ^ ((bits >> 31) & _MAGNITUDE)
    columns = np.arange(scores.shape[1], dtype=np.int64)
    return (ordered.astype(np.int64) << 32) | (_LOW_HALF - columns)
