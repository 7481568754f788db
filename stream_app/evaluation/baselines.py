"""The opponents: popularity, decayed popularity and first-order transition counts, all live.

Each learns from every event and, as the recommender does, leaves out what the user already had
unless told otherwise, so what they lack against it is only the model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

DAY_MS = 86_400_000.0
# Above 2 ** 60 a float64 count of one event would lose its last digits to the present ones.
_REBASE_AFTER = 60.0


class Baseline(ABC):
    """A recommender that only counts; without `repeats` it leaves out what the user had."""

    name: str

    def __init__(self, *, repeats: bool = False) -> None:
        self._repeats = repeats
        self._ids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._seen: dict[str, list[int]] = {}
        self._remembered: Set[str] | None = None
        self._scores = np.zeros(1024)

    def observe(self, user: str, item: str, timestamp_ms: int) -> None:
        """Learn from one event; events come in time order."""
        number = self._numbers.get(item)
        if number is None:
            number = self._numbers[item] = len(self._ids)
            self._ids.append(item)
            if number >= len(self._scores):
                self._scores = np.concatenate([self._scores, np.zeros(len(self._scores))])
        self._learn(user, number, timestamp_ms)
        if self._remembered is None or user in self._remembered:
            self._seen.setdefault(user, []).append(number)

    def recommend(self, user: str, k: int) -> list[str]:
        """The `k` best items for `user`, best first."""
        scores = self._scores_of(user)
        if not self._repeats:
            scores[self._seen.get(user, [])] = -1.0
        best = _top(scores, k)
        return [self._ids[number] for number in best if scores[number] >= 0]

    def remember_only(self, users: Set[str]) -> None:
        """From now on keep what these users had, and of others only what is counted.

        Who is never recommended to need not be remembered: with millions of users that is most of
        the memory.
        """
        self._remembered = users

    @abstractmethod
    def _learn(self, user: str, item: int, timestamp_ms: int) -> None:
        """Count one event; `_seen` does not hold it yet."""

    def _scores_of(self, user: str) -> NDArray[np.float64]:
        """A copy of the scores `[items]`, as they are for `user`."""
        return self._scores[: len(self._ids)].copy()


class Popularity(Baseline):
    """The most frequent items since the beginning."""

    name = "popularity"

    def _learn(self, user: str, item: int, timestamp_ms: int) -> None:
        self._scores[item] += 1.0


class DecayedPopularity(Baseline):
    """The most frequent items, an event counting half as much after every half-life.

    Forward decay (Cormode et al. 2009): new events grow in weight, old counts stay as they are.
    """

    name = "decayed_popularity"

    def __init__(self, half_life_ms: float, *, repeats: bool = False) -> None:
        super().__init__(repeats=repeats)
        self.half_life_ms = half_life_ms
        self._landmark_ms: int | None = None

    def _learn(self, user: str, item: int, timestamp_ms: int) -> None:
        if self._landmark_ms is None:
            self._landmark_ms = timestamp_ms
        age = (timestamp_ms - self._landmark_ms) / self.half_life_ms
        if age > _REBASE_AFTER:
            self._scores *= 2.0**-age
            self._landmark_ms, age = timestamp_ms, 0.0
        self._scores[item] += 2.0**age


class TransitionCounts(Baseline):
    """The items that most often came right after the user's last one.

    Equal counts, and places left over, go by popularity.
    """

    name = "transition_counts"

    def __init__(self, *, repeats: bool = False) -> None:
        super().__init__(repeats=repeats)
        self._following: dict[int, dict[int, int]] = {}
        self._last: dict[str, int] = {}
        self._events = 0

    def _learn(self, user: str, item: int, timestamp_ms: int) -> None:
        self._scores[item] += 1.0
        self._events += 1
        if (last := self._last.get(user)) is not None:
            following = self._following.setdefault(last, {})
            following[item] = following.get(item, 0) + 1
        self._last[user] = item

    def _scores_of(self, user: str) -> NDArray[np.float64]:
        scores = super()._scores_of(user)
        last = self._last.get(user)
        following = None if last is None else self._following.get(last)
        if following:
            items = np.fromiter(following, np.intp, len(following))
            counts = np.fromiter(following.values(), np.float64, len(following))
            # One transition outweighs any popularity, which then only breaks ties.
            scores[items] += counts * (self._events + 1)
        return scores


def _top(scores: NDArray[np.float64], k: int) -> list[int]:
    """Positions of the `k` largest, best first; equal ones in order of position."""
    if len(scores) > k:
        floor = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= floor)
    else:
        candidates = np.arange(len(scores))
    order = np.argsort(-scores[candidates], kind="stable")[:k]
    best: list[int] = candidates[order].tolist()
    return best
