"""All that is computed to explain the items of one user, before it is put into words."""

from __future__ import annotations

from typing import NamedTuple

from stream_app.ranking.batch import Floats, Indices
from stream_app.ranking.explain import Considered
from stream_app.reasons.result import RuleEffect
from stream_app.users.state import UserState


class Wanted(NamedTuple):
    """The `m` items to explain."""

    items: Indices
    """`[m]`."""
    ranks: list[int | None]
    sources: list[tuple[str, ...]]


class LeftOut(NamedTuple):
    """What leaving out each of `n` events does to `m` items."""

    differences: Floats
    """By part of the score, `[P, n, m]`."""
    whole: Floats
    """Scores from the whole ring, `[m]`."""


class Case(NamedTuple):
    """All that is computed for the `m` items of one user."""

    state: UserState
    replayed: bool
    wanted: Wanted
    parts: Floats
    """Of the scores, `[P, m]`."""
    chosen_from: Considered
    forbidden: dict[str, set[int]]
    left_out: LeftOut | None
    rules: tuple[RuleEffect, ...]
    silent: frozenset[str]
    """Scorers that have nothing to go by: nothing is said of the user."""
