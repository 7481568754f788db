"""What the training window knows without a model: transition counts and decayed popularity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.bundle import FANOUT, Priors
from stream_app.datasets import EventTable


def count_priors(
    table: EventTable, places: NDArray[np.int64], items: int, half_life_ms: float
) -> Priors:
    """Count `table` for a catalogue of `items` items.

    `places` `[items of the table]` are catalogue positions, -1 for an item not in it.
    Popularity is the exponentially decayed count as it stands at the last event.
    """
    at = places[table.items]
    known = at >= 0
    ages = (table.timestamps_ms[-1] - table.timestamps_ms) / half_life_ms
    popularity = np.bincount(at[known], weights=np.exp2(-ages[known]), minlength=items)
    successors, counts = _transitions(table.users, at, items)
    return Priors(successors, counts, popularity.astype(np.float32))


def _transitions(
    users: NDArray[np.int32], at: NDArray[np.int64], items: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The most frequent next items of each item `[items, FANOUT]` and how often they came."""
    order = np.argsort(users, kind="stable")
    users, at = users[order], at[order]
    same = (users[1:] == users[:-1]) & (at[1:] >= 0) & (at[:-1] >= 0) & (at[1:] != at[:-1])
    pairs, counted = np.unique(at[:-1][same] * items + at[1:][same], return_counts=True)
    rows, nexts = np.divmod(pairs, items)
    best = np.lexsort((nexts, -counted, rows))
    rows, nexts, counted = rows[best], nexts[best], counted[best]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = place < FANOUT
    successors = np.full((items, FANOUT), -1, np.int32)
    counts = np.zeros((items, FANOUT), np.float32)
    successors[rows[kept], place[kept]] = nexts[kept]
    counts[rows[kept], place[kept]] = counted[kept]
    return successors, counts
