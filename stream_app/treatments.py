"""Who is served how: scenarios, experiments, rules and requests as plans and terms, in groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from schemas import EVENTS, Experiment, RecommendationRequest
from stream_app.catalog import ItemTable
from stream_app.errors import UserError
from stream_app.experiments import Assigned, Experiments
from stream_app.plan import Plan
from stream_app.ranking import FREE, Terms
from stream_app.rules import BETWEEN_S, LiveRule, RuleBook, Situation
from stream_app.scenarios import Scenarios
from stream_app.users.profile import profile_of
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
    rules: tuple[LiveRule, ...] = ()
    """What `terms` were made of, beside what the request wants."""


class _Key(NamedTuple):
    """Users with the same key are treated alike."""

    plan: Plan
    categories: tuple[str, ...] = ()
    experiment: Experiment | None = None
    degraded: str | None = None
    rules: tuple[LiveRule, ...] = ()


class Treatments:
    """Of one recommender; use from its thread."""

    def __init__(
        self, table: ItemTable, plan: Plan, check: Callable[[Plan], object], rules: RuleBook
    ) -> None:
        """`plan` is the worker's; `check` raises UserError for one that cannot be done."""
        self._table = table
        self._check = check
        self._usual = Treatment(plan)
        self.scenarios = Scenarios(plan, check)
        self.experiments = Experiments()
        self.releases: frozenset[str] | None = None
        """Those that arms may name, `name@version`; None: none but the one that serves."""
        self.rules = rules

    def groups(self, asking: Sequence[Asking], now_ms: int) -> list[tuple[Treatment, list[int]]]:
        """The places of all who are treated alike, with their treatment."""
        self.rules.work(BETWEEN_S)
        split = self.experiments.split(now_ms)
        special = split is not None or len(self.scenarios) or len(self.rules)
        if not special and all(one.request is None for one in asking):
            return [(self._usual, list(range(len(asking))))]
        assigned: Sequence[Assigned | None] = [None] * len(asking)
        if split is not None:
            assigned = split.assign([one.user_id for one in asking])
        places: dict[_Key, list[int]] = {}
        for place, (one, arm) in enumerate(zip(asking, assigned, strict=True)):
            key = self._key(one, arm)
            if len(self.rules):
                situation = _situation(one, key.experiment)
                key = key._replace(rules=self.rules.active(situation, now_ms))
            places.setdefault(key, []).append(place)
        return [(self._treatment(key), found) for key, found in places.items()]

    def of(self, asking: Asking, now_ms: int) -> Treatment:
        """How one user is treated."""
        return self.groups([asking], now_ms)[0][0]

    def _key(self, one: Asking, arm: Assigned | None) -> _Key:
        request = one.request
        name = (request and request.scenario) or EVENTS
        if arm is not None and (arm.lists != name or not one.user_id):
            arm = None  # who has no id, as one whose row is explained, is in no experiment
        notes: list[str] = []
        if arm is not None and arm.release not in (None, *(self.releases or ())):
            notes.append(
                f"release {arm.release!r} of arm {arm.experiment.arm!r} of experiment "
                f"{arm.experiment.name!r} is not served here; made as for those in no experiment"
            )
            arm = None
        served = self.scenarios.get((arm and arm.scenario) or name)
        if served is None and arm is not None:
            notes.append(
                f"scenario {arm.scenario or name!r} of arm {arm.experiment.arm!r} of experiment "
                f"{arm.experiment.name!r} is unknown; made as for those in no experiment"
            )
            arm, served = None, self.scenarios.get(name)
        if served is None:
            notes.append(f"scenario {name!r} is unknown; made as {EVENTS!r}")
            served = self.scenarios.get(EVENTS) or self.scenarios.usual
        experiment = None if arm is None else arm.experiment
        if request is None:
            return _Key(served.plan, served.categories, experiment, "; ".join(notes) or None)
        plan = served.plan
        if request.filters is not None:
            try:
                plan = replace(plan, filters=request.filters)
                self._check(plan)
            except UserError as error:
                notes.append(f"{error}; made with the filters of the scenario")
                plan = served.plan
        categories = request.categories or served.categories
        return _Key(plan, categories, experiment, "; ".join(notes) or None)

    def _treatment(self, key: _Key) -> Treatment:
        allowed = self._table.in_categories(key.categories) if key.categories else None
        terms = self.rules.terms(key.rules, allowed)
        return Treatment(key.plan, terms, key.experiment, key.degraded, key.rules)


def _situation(one: Asking, experiment: Experiment | None) -> Situation:
    """What the `when` of a rule can ask."""
    request = one.request
    return Situation(
        attributes=profile_of(one.state).attributes,
        events=one.state.events,
        scenario=(request.scenario if request else None) or EVENTS,
        context=(request.context if request else None) or {},
        experiment="" if experiment is None else experiment.name,
        arm="" if experiment is None else experiment.arm,
    )
