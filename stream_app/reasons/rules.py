"""What rules did to the list of one user, and to each of its items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream_app.ranking.batch import Indices
from stream_app.ranking.explain import NOT_ALLOWED
from stream_app.ranking.terms import Terms
from stream_app.reasons.result import RuleEffect
from stream_app.rules import LiveRule, touched, traces

Forbidden = dict[str, set[int]]


def name_excluding(
    forbidden: Forbidden, rules: Sequence[LiveRule], items: Indices, size: int
) -> Forbidden:
    """What is `forbidden` of `items` `[m]`, with rules named as the filters that they are."""
    found = dict(forbidden)
    outside = found.pop(NOT_ALLOWED, set())
    for one in rules:
        if one.effect == "exclude":
            mine = set(items[one.mask(size).take(items)].tolist())
            found[f"rule {one.rule.rule_id}"] = mine
            outside = outside - mine
    return found | {NOT_ALLOWED: outside} if outside else found


def effects(
    rules: Sequence[LiveRule], terms: Terms, listed: Indices, candidates: Indices, size: int
) -> tuple[RuleEffect, ...]:
    """What each rule did: `listed` `[k]` is the list, `candidates` what it would be chosen from if
    no rule excluded anything; both catalogue positions.
    """
    if not rules:
        return ()
    masks = touched(rules, terms, listed[None, :], [len(listed)], size)
    (done,) = traces(rules, masks)
    return tuple(
        RuleEffect(
            rule_id=one.rule.rule_id,
            effect=one.effect,
            value=value_of(one),
            items=int(np.count_nonzero(one.mask(size))),
            candidates=int(np.count_nonzero(one.mask(size)[candidates])),
            ranks=trace.ranks,
        )
        for one, trace in zip(rules, done, strict=True)
    )


def about(rules: Sequence[LiveRule], item: int, size: int) -> tuple[str, ...]:
    """The rules that are about an item, each with its effect."""
    return tuple(in_words(one) for one in rules if one.mask(size)[item])


def in_words(one: LiveRule) -> str:
    """`summer (boost 0.5)`."""
    value = value_of(one)
    return f"{one.rule.rule_id} ({one.effect}{'' if value is None else f' {value:g}'})"


def value_of(one: LiveRule) -> float | None:
    """The place, nats or number of a rule."""
    rule = one.rule
    return next((one for one in (rule.pin, rule.boost, rule.at_most) if one is not None), None)
