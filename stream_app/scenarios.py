"""Scenarios as the topic has them, as plans: `Plan` with what a scenario changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from schemas import EVENTS, POPULAR, Scenario
from stream_app.degradations import Degradation, degraded
from stream_app.errors import UserError
from stream_app.objectives import Objectives
from stream_app.plan import EVERY_OTHER, Plan, named
from stream_app.ranking.live.trends import TOP

log = logging.getLogger(__name__)

MOST = 1_000
"""Of scenarios that workers keep."""


class Served(NamedTuple):
    """What a scenario means."""

    plan: Plan
    categories: tuple[str, ...] = ()


class Scenarios:
    """Use from one thread at a time."""

    def __init__(self, usual: Plan, check: Callable[[Plan], object]) -> None:
        """`usual` is what scenarios change; `check` raises UserError for a plan it cannot do."""
        self._usual = Served(usual)
        self._check = check
        self._built_in = {POPULAR: Served(by_popularity(usual))}
        self._served: dict[str, Served] = {}
        self.refused: dict[str, str] = {}
        """Why the newest record of a scenario is not in force, by name."""

    def __len__(self) -> int:
        return len(self._served)

    def put(self, name: str, scenario: Scenario | None) -> None:
        """Take up a record; None withdraws. One that cannot be done leaves what was before."""
        self.refused.pop(name, None)
        if scenario is None:
            self._served.pop(name, None)
            return
        try:
            if name not in self._served and len(self._served) >= MOST:
                raise UserError(f"there are {MOST} scenarios already; withdraw one first")
            plan = plan_of(scenario, self._usual.plan)
            self._check(plan)
        except UserError as error:
            degraded(Degradation.CONTROL_REFUSED)
            log.error("scenario %r is refused, what was said of it before holds: %s", name, error)
            if len(self.refused) < MOST:
                self.refused[name] = str(error)
            return
        self._served[name] = Served(plan, scenario.categories)

    def get(self, name: str | None) -> Served | None:
        """What a name means; None for a name that nothing is said of."""
        found = self._served.get(name or EVENTS) or self._built_in.get(name or EVENTS)
        return self._usual if found is None and name in (None, EVENTS) else found

    def all(self) -> dict[str, Served]:
        """What every name means that something is said of on the topic."""
        return dict(self._served)

    @property
    def usual(self) -> Served:
        """What holds where a scenario says nothing."""
        return self._usual


def by_popularity(usual: Plan) -> Plan:
    """What everybody would get if nothing were known of anybody, less what the filters of `usual`
    keep from each: what an experiment holds users out with.
    """
    return Plan(
        filters=usual.filters,
        sources=named({EVERY_OTHER: 0, "trending": TOP}),
        weights=named({EVERY_OTHER: 0, "popularity": 1}),
        exploration=0.0,
    )


def plan_of(scenario: Scenario, usual: Plan) -> Plan:
    """`usual` with what the scenario changes; raises UserError."""
    given = {
        name: value
        for name in ("diversity", "popularity_discount", "action_values")
        if (value := getattr(scenario, name)) is not None
    }
    old = usual.objectives
    objectives = Objectives(
        **{
            "diversity": old.diversity,
            "popularity_discount": old.popularity_discount,
            "action_values": old.action_values,
            **given,
        }
    )
    return replace(
        usual,
        filters=usual.filters if scenario.filters is None else scenario.filters,
        objectives=objectives,
        weights=named({**dict(usual.weights), **scenario.weights}),
        sources=named({**dict(usual.sources), **scenario.sources}),
        exploration=usual.exploration if scenario.exploration is None else scenario.exploration,
    )
