"""Who is served how: scenarios and requests as plans and terms, one for each group of users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from schemas import EVENTS, Experiment, RecommendationRequest
from stream_app.catalog import ItemTable
from stream_app.errors import UserError
from stream_app.plan import Plan
from stream_app.ranking import FREE, Terms
from stream_app.scenarios import Scenarios
from stream_app.users.state import UserState


class Asking(NamedTuple):
    """One who needs a list."""

    user_id: str
    state: UserState
    request: RecommendationRequest | None = None
    """None for a list after events."""
    rec_id: str = ""
    """Of the list, which it takes for chance; empty: nothing is left to chance."""


class Treatment(NamedTuple):
    """How the users of a group are served."""

    plan: Plan
    terms: Terms = FREE
    experiment: Experiment | None = None
    degraded: str | None = None
    """Why it is not what was asked for."""


class _Key(NamedTuple):
    """Users with the same key are treated alike."""

    plan: Plan
    categories: tuple[str, ...] = ()
    experiment: Experiment | None = None
    degraded: str | None = None


class Treatments:
    """Of one recommender; use from its thread."""

    def __init__(self, table: ItemTable, plan: Plan, check: Callable[[Plan], object]) -> None:
        """`plan` is the worker's; `check` raises UserError for one that cannot be done."""
        self._table = table
        self._check = check
        self._usual = Treatment(plan)
        self.scenarios = Scenarios(plan, check)

    def groups(self, asking: Sequence[Asking], now_ms: int) -> list[tuple[Treatment, list[int]]]:
        """The places of all who are treated alike, with their treatment."""
        if not len(self.scenarios) and all(one.request is None for one in asking):
            return [(self._usual, list(range(len(asking))))]
        places: dict[_Key, list[int]] = {}
        for place, one in enumerate(asking):
            places.setdefault(self._key(one), []).append(place)
        return [(self._treatment(key), found) for key, found in places.items()]

    def of(self, asking: Asking, now_ms: int) -> Treatment:
        """How one user is treated."""
        return self.groups([asking], now_ms)[0][0]

    def _key(self, one: Asking) -> _Key:
        request = one.request
        if request is None:
            usual = self.scenarios.get(EVENTS) or self.scenarios.usual
            return _Key(usual.plan, usual.categories)
        notes: list[str] = []
        served = self.scenarios.get(request.scenario)
        if served is None:
            notes.append(f"scenario {request.scenario!r} is unknown; made as {EVENTS!r}")
            served = self.scenarios.get(EVENTS) or self.scenarios.usual
        plan = served.plan
        if request.filters is not None:
            try:
                plan = replace(plan, filters=request.filters)
                self._check(plan)
            except UserError as error:
                notes.append(f"{error}; made with the filters of the scenario")
                plan = served.plan
        categories = request.categories or served.categories
        return _Key(plan, categories, None, "; ".join(notes) or None)

    def _treatment(self, key: _Key) -> Treatment:
        terms = FREE
        if key.categories:
            terms = Terms(allowed=self._table.in_categories(key.categories))
        return Treatment(key.plan, terms, key.experiment, key.degraded)
