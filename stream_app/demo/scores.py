"""Hit rates of the served lists and of the baselines, over exactly the same predictions.

A prediction is a list together with the next event of its user in the stream. An event that was
coalesced with a later one has no list of its own, and is no prediction of the baselines either.
"""

from __future__ import annotations

from collections.abc import Sequence

from stream_app.demo.scenario import Scenario
from stream_app.evaluation import BaselineLists, DecayedPopularity, Scoreboard, TransitionCounts
from stream_app.evaluation.baselines import DAY_MS

K = 10
HALF_LIFE_MS = 365 * DAY_MS
"""What `stream-app train` finds best for MovieLens small, inside the trained part: `half_life_days`
in the manifest of the bundle."""

LISTS, POPULARITY, TRANSITIONS = "lists", "popularity", "transition"


class Scores:
    """Running scores of the lists and of two baselines: for all users, returning and new ones.

    The baselines see the trained part and every earlier event of the stream, as the worker does,
    and leave out what the user already had. Their lists are made beforehand, so that they take no
    processor time from what is measured.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._next_items = scenario.next_items
        self._returning = scenario.returning
        self._baselines = {
            POPULARITY: _lists_of(DecayedPopularity(HALF_LIFE_MS), scenario),
            TRANSITIONS: _lists_of(TransitionCounts(), scenario),
        }
        self.boards = {name: Scoreboard.empty() for name in (LISTS, POPULARITY, TRANSITIONS)}

    def score(self, user_id: str, position: int, items: Sequence[str]) -> None:
        """A list whose newest event is the one at `position` of the stream."""
        target = self._next_items[position]
        if target is None:
            return
        returning = user_id in self._returning
        self.boards[LISTS].add(items[:K], target, returning=returning)
        for name, lists in self._baselines.items():
            self.boards[name].add(lists[position], target, returning=returning)

    def rates(self, group: str = "all") -> dict[str, float | int]:
        """Predictions and hit rates of a group: `all`, `returning` or `new`."""
        scores = {name: getattr(board, group) for name, board in self.boards.items()}
        return {
            "predictions": scores[LISTS].predictions,
            "hit_rate_at_10": round(scores[LISTS].hit_rate, 4),
            "popularity_hit_rate_at_10": round(scores[POPULARITY].hit_rate, 4),
            "transition_hit_rate_at_10": round(scores[TRANSITIONS].hit_rate, 4),
        }


def _lists_of(
    baseline: DecayedPopularity | TransitionCounts, scenario: Scenario
) -> list[list[str]]:
    method = BaselineLists(baseline, scenario.trained, K)
    return [method.observe(event) for event in scenario.events]
