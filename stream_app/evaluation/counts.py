"""Baselines that only count: popular, decayed popular, transitions. Fitted once, then asked.

`stream_app.evaluation.baselines` has the same ones for a stream, learning from every event.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.datasets import EventTable
from stream_app.evaluation.baselines import DAY_MS
from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.histories import NOTHING, Histories, UserLog, ranges
from stream_app.evaluation.lists import top_lists
from stream_app.evaluation.methods import Floats
from stream_app.evaluation.metrics import places_of
from stream_app.evaluation.protocols import Split

HALF_LIVES_DAYS = (0.25, 0.5, 1, 3, 7, 14, 30, 90, 180, 365, 730, 1460)
"""What decayed popularity may choose from: from hours, for news and sales, to years."""
TUNED_ON = 2_000  # questions, drawn from those of the validation: more do not change the choice
TUNED_FOR = 10  # the half-life with most hits among so many items is chosen


class Popular:
    """The most frequent items of the past."""

    name = "popular"

    def fit(self, split: Split) -> None:
        self._counts = popularity(split.past)

    def scores(self, histories: Histories) -> Floats:
        return np.repeat(self._counts[None], len(histories), axis=0)


class DecayedPopular:
    """The most frequent items, an event counting half as much for every half-life of its age.

    Of `HALF_LIVES_DAYS` the one with most hits on the validation questions is used.
    """

    name = "decayed-popular"

    def fit(self, split: Split) -> None:
        """Choose and count; raises `EvaluationError` where there is nothing to choose by."""
        asked = split.validation.sample(TUNED_ON, seed=0)
        if not len(asked):
            raise EvaluationError(
                f"{self.name}: its half-life is chosen on validation questions, and there are "
                "none; leave it out, or give a larger --validation-share"
            )
        hits = []
        for days in HALF_LIVES_DAYS:
            self._counts = popularity(split.train, days * DAY_MS)
            lists = top_lists(self, asked.histories, TUNED_FOR, repeats=split.repeats)
            hits.append(int((places_of(lists, asked) < TUNED_FOR).sum()))
        self.half_life_days = HALF_LIVES_DAYS[int(np.argmax(hits))]
        self._counts = popularity(split.past, self.half_life_days * DAY_MS)

    def scores(self, histories: Histories) -> Floats:
        return np.repeat(self._counts[None], len(histories), axis=0)


class Transitions:
    """The items that most often came right after the user's last one, then the most popular."""

    name = "transitions"

    def fit(self, split: Split) -> None:
        counts = popularity(split.past)
        # Below one transition, so that popularity only orders what transitions leave equal.
        self._popularity = counts / (counts.max(initial=0) + 1)
        self._starts, self._next, self._counts = transitions(split.past)

    def scores(self, histories: Histories) -> Floats:
        scores = np.repeat(self._popularity[None], len(histories), axis=0)
        last = histories.last_items()
        known = np.flatnonzero(last != NOTHING)
        counts = self._starts[last[known] + 1] - self._starts[last[known]]
        pairs = ranges(self._starts[last[known]], counts)
        scores[np.repeat(known, counts), self._next[pairs]] += self._counts[pairs]
        return scores


def popularity(table: EventTable, half_life_ms: float | None = None) -> Floats:
    """Events of each item `[N]`; with a half-life, decayed as of the last event."""
    weights = None
    if half_life_ms is not None and len(table):
        weights = np.exp2((table.timestamps_ms - table.timestamps_ms[-1]) / half_life_ms)
    counts = np.bincount(table.items, weights, minlength=len(table.item_ids))
    return counts.astype(np.float32)


def transitions(
    table: EventTable,
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """How often each item came right after each other one, in rows that only hold what occurred.

    Returns `starts` `[N + 1]`; and, in `starts[i]:starts[i + 1]`, the items after `i`, and their
    counts.
    """
    items = len(table.item_ids)
    order = UserLog.of(table).order
    users, at = table.users[order], table.items[order].astype(np.int64)
    same = users[1:] == users[:-1]
    pairs, counts = np.unique(at[:-1][same] * items + at[1:][same], return_counts=True)
    before, after = np.divmod(pairs, max(items, 1))
    starts = np.searchsorted(before, np.arange(items + 1))
    return starts, after, counts.astype(np.float32)
