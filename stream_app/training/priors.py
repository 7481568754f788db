"""What the training window knows without a model: transition counts and decayed popularity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.bundle import FANOUT, Priors, RankingWeights
from stream_app.datasets import EventTable
from stream_app.ranking.live.transitions import summed_pairs, weighted_pairs

BLOCK = 1_000_000
"""Events whose pairs are sorted at a time: up to 6 pairs an event, and 24 bytes a pair."""


def count_priors(
    table: EventTable, places: NDArray[np.int64], items: int, ranking: RankingWeights
) -> Priors:
    """Count `table` for a catalogue of `items` items, in the way that `ranking` goes on counting.

    `places` `[items of the table]` are catalogue positions, -1 for an item not in it.
    Popularity is the exponentially decayed count as it stands at the last event.
    """
    at = places[table.items]
    known = at >= 0
    ages = (table.timestamps_ms[-1] - table.timestamps_ms) / ranking.trend_half_life_ms
    popularity = np.bincount(at[known], weights=np.exp2(-ages[known]), minlength=items)
    successors, counts = _transitions(table.users, at, items, ranking)
    return Priors(successors, counts, popularity.astype(np.float32))


def _transitions(
    users: NDArray[np.int32], at: NDArray[np.int64], items: int, ranking: RankingWeights
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The most frequent next items of each item `[items, FANOUT]` and how often they came."""
    order = np.argsort(users, kind="stable")
    rows, nexts, counted = _pairs(users[order], at[order].astype(np.int32), ranking)
    best = np.lexsort((nexts, -counted, rows))
    rows, nexts, counted = rows[best], nexts[best], counted[best]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = place < FANOUT
    successors = np.full((items, FANOUT), -1, np.int32)
    counts = np.zeros((items, FANOUT), np.float32)
    successors[rows[kept], place[kept]] = nexts[kept]
    counts[rows[kept], place[kept]] = counted[kept]
    return successors, counts


def _pairs(
    users: NDArray[np.int32], following: NDArray[np.int32], ranking: RankingWeights
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Pairs of `weighted_pairs` from the events of all users, end to end, a block at a time."""
    parts = []
    for start in range(0, len(following), BLOCK):
        stop = min(start + BLOCK, len(following))
        previous: NDArray[np.int32] = np.full((stop - start, ranking.lags), -1, np.int32)
        for lag in range(1, ranking.lags + 1):
            first = max(start, lag)
            before = slice(first - lag, max(stop - lag, first - lag))
            same = users[first:stop] == users[before]
            previous[first - start :, lag - 1] = np.where(same, following[before], -1)
        parts.append(weighted_pairs(previous, following[start:stop], ranking.both_ways))
    rows, nexts, counted = map(np.concatenate, zip(*parts, strict=True))
    return summed_pairs(rows, nexts, counted)
