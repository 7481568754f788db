"""Hit rates of the served lists and of the baselines, over exactly the same predictions.

A prediction is a list together with the next event of its user in the stream. An event that was
coalesced with a later one has no list of its own, and is no prediction of the baselines either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from stream_app.demo.scenario import Scenario
from stream_app.evaluation.baselines import DecayedPopularity, TransitionCounts

K = 10


@dataclass(slots=True)
class Tally:
    """Hits of the three recommenders over one group of predictions."""

    predictions: int = 0
    hits: int = 0
    popularity_hits: int = 0
    transition_hits: int = 0

    def add(self, hit: bool, popularity_hit: bool, transition_hit: bool) -> None:
        """One more prediction."""
        self.predictions += 1
        self.hits += hit
        self.popularity_hits += popularity_hit
        self.transition_hits += transition_hit

    def rates(self) -> dict[str, float | int]:
        """Hit rates, named as in the summary of the demo."""
        count = max(1, self.predictions)
        return {
            "predictions": self.predictions,
            "hit_rate_at_10": round(self.hits / count, 4),
            "popularity_hit_rate_at_10": round(self.popularity_hits / count, 4),
            "transition_hit_rate_at_10": round(self.transition_hits / count, 4),
        }


@dataclass(slots=True)
class Scores:
    """Running hit rate@10 for all users, those with a past, and new ones."""

    scenario: Scenario
    _next: list[str | None] = field(init=False)
    _baseline_hits: list[tuple[bool, bool]] = field(init=False)
    all: Tally = field(default_factory=Tally)
    returning: Tally = field(default_factory=Tally)
    new: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._next = self.scenario.next_items
        self._baseline_hits = baseline_hits(self.scenario, self._next)

    def score(self, user_id: str, position: int, items: Sequence[str]) -> None:
        """A list whose newest event is the one at `position` of the stream."""
        target = self._next[position]
        if target is None:
            return
        hit = target in items[:K]
        group = self.returning if user_id in self.scenario.returning else self.new
        for tally in (self.all, group):
            tally.add(hit, *self._baseline_hits[position])


def baseline_hits(scenario: Scenario, next_items: list[str | None]) -> list[tuple[bool, bool]]:
    """For each streamed event, whether each baseline's list after it holds the user's next item.

    The baselines see the trained part and every earlier event of the stream, as the worker does,
    and leave out what the user already had.
    """
    baselines = (DecayedPopularity.fitted(scenario.trained), TransitionCounts())
    for baseline in baselines:
        baseline.observe_all(scenario.trained)
    hits = []
    for event, target in zip(scenario.events, next_items, strict=True):
        for baseline in baselines:
            baseline.observe(event.user_id, event.item_id, event.timestamp_ms)
        hits.append(
            (False, False)
            if target is None
            else tuple(target in each.recommend(event.user_id, K) for each in baselines)
        )
    return hits
