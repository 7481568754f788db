"""How lists are made: which sources and filters take part, and how much each reason counts.

The settings of a worker give the plan of its lists; scenarios (docs/scenarios.md) change parts of
it while the worker runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.errors import UserError
from stream_app.filter_names import parse_filter
from stream_app.objectives import Objectives

DEFAULT_FILTERS = ("bought", "clicked")
NEXT_EVENT = Objectives()
MAX_FACTOR = 100.0
MAX_ITEMS = 1_000
EXPLORATION = 0.1
"""Enough that new items get their first events within minutes where lists are made by the second,
and one place in twenty lists of ten that the scores would have given to another item."""


class PlanError(UserError, ValueError):
    """A plan names something that does not exist, or has a number that cannot be used."""


Named = tuple[tuple[str, float], ...]
EVERY_OTHER = "*"
"""Among weights and sources: all that are not named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Frozen and hashable: plans that are equal share a pipeline. Raises `PlanError`."""

    filters: tuple[str, ...] = DEFAULT_FILTERS
    """Names, each with a duration after which items return: `clicked:30d`."""
    objectives: Objectives = NEXT_EVENT
    weights: Named = ()
    """Factors by which the release's weights of scorers are multiplied; sorted by name."""
    sources: Named = ()
    """The most items that sources propose, 0 for none; sorted by name."""
    exploration: float = EXPLORATION
    """Share of the lists of which one place goes to a new arrival, while there are any."""

    def __post_init__(self) -> None:
        for name in self.filters:
            try:
                parse_filter(name)
            except ValueError as error:
                raise PlanError(str(error)) from None
        if not 0 <= self.exploration <= 1:
            raise PlanError(f"exploration is {self.exploration}; write a share from 0 to 1")
        for name, factor in self.weights:
            if not 0 <= factor <= MAX_FACTOR:
                raise PlanError(f"weight of {name!r} is {factor}; write 0 to {MAX_FACTOR:g}")
        for name, most in self.sources:
            if not 0 <= most <= MAX_ITEMS or most != int(most):
                raise PlanError(f"source {name!r} proposes {most}; write 0 to {MAX_ITEMS}")

    def weight(self, scorer: str) -> float:
        """The factor of a scorer's weight; 1 where none is given."""
        factors = dict(self.weights)
        return factors.get(scorer, factors.get(EVERY_OTHER, 1.0))

    def most(self, source: str, usual: int) -> int:
        """How many items a source proposes; `usual` where nothing is said."""
        limits = dict(self.sources)
        return int(limits.get(source, limits.get(EVERY_OTHER, usual)))


USUAL = Plan()


def parse_weights(text: str) -> Named:
    """Factors from text like `transition=0.5 popularity=2`; raises `PlanError`."""
    factors: dict[str, float] = {}
    for part in text.replace(",", " ").split():
        name, _, number = part.partition("=")
        try:
            factors[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise PlanError(f"{part!r} is no weight: write the name of a scorer, = and a number")
    return named(factors)


def parse_sources(text: str) -> Named:
    """Limits from text like `similar=48 trending=0`; raises `PlanError`."""
    limits: dict[str, float] = {}
    for part in text.replace(",", " ").split():
        name, _, number = part.partition("=")
        if not name or not number.isdecimal():
            raise PlanError(f"{part!r} is no limit of a source: write its name, = and a number")
        limits[name] = int(number)
    return named(limits)


def named(values: Mapping[str, float]) -> Named:
    """As a plan holds them."""
    return tuple(sorted(values.items()))
