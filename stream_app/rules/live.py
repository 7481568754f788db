"""One rule as a worker holds it: compiled, with the items that it is about as a mask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas import Item, Rule
from stream_app.catalog import Catalog, ItemTable
from stream_app.rules.expressions import (
    Condition,
    ExpressionError,
    ItemValues,
    ListValues,
    item_condition,
    list_condition,
)

Mask = NDArray[np.bool_]

ITEM_S = 200e-6
"""Processor seconds that a rule may cost for an item; an ordinary one costs 5 microseconds."""
FREE_S = 50e-3
"""What it may cost before that is looked at: a moment's trouble of the machine is no fault."""


class RuleError(ValueError):
    """A rule cannot be taken up; says where and why."""


class Situation(NamedTuple):
    """What `when` can ask of a list."""

    attributes: Mapping[str, Any]
    """Of the user."""
    events: int
    """Of the user, in all."""
    scenario: str
    context: Mapping[str, Any]
    """Of the request; empty for a list after events."""
    experiment: str
    """The user's; empty without one."""
    arm: str
    """Of that experiment."""

    def values(self) -> ListValues:
        """For conditions of lists."""
        return ListValues(
            {
                "user.attributes": dict(self.attributes),
                "user.events": self.events,
                "request.scenario": self.scenario,
                "request.context": dict(self.context),
                "experiment": self.experiment,
                "arm": self.arm,
            }
        )


class LiveRule:
    """Compared by identity: a rule that is put again is another one."""

    def __init__(self, rule: Rule) -> None:
        """Compile. Raises `RuleError`."""
        self.rule = rule
        (self.effect,) = rule.effects
        self.items = _compiled("items", item_condition, rule.items)
        self.when = None if rule.when is None else _compiled("when", list_condition, rule.when)
        self._mask: Mask = np.zeros(0, np.bool_)
        self._overspent_s = 0.0
        self.lists = self.places = 0
        """Lists for which the rule held so far, and places of lists that it touched."""
        self.known = 0
        """Of so many positions it is known whether the rule is about them."""

    @property
    def rule_id(self) -> str:
        """As operators named it."""
        return self.rule.rule_id

    @property
    def order(self) -> tuple[int, str]:
        """Rules with a lower one come first."""
        return -self.rule.priority, self.rule.rule_id

    def mask(self, size: int) -> Mask:
        """Whether it is about the item, by position `[size]`; False where it is not known."""
        self._fit(size)
        return self._mask[:size]

    def count(self, touched: Mask) -> None:
        """It held for more lists, and touched these places of them `[R, k]`."""
        self.lists += len(touched)
        self.places += int(np.count_nonzero(touched))

    def holds_at(self, now_ms: int) -> bool:
        """Whether a time (Unix ms) is within its window."""
        begin, end = self.rule.from_ms, self.rule.until_ms
        return (begin is None or begin <= now_ms) and (end is None or now_ms < end)

    def look_again(self, position: int, values: ItemValues) -> bool:
        """At an item that is known, and what it says now; whether that makes a difference."""
        found = self.items.holds(values)
        changed = found != bool(self._mask[position])
        self._mask[position] = found
        return changed

    def look_on(self, size: int, catalog: Catalog, table: ItemTable, until_s: float) -> None:
        """At the items that are not known yet, of `size`, until `time.perf_counter` passes
        `until_s`; at one at least.
        """
        self._fit(size)
        began, before = time.thread_time(), self.known
        while self.known < size:
            values = said_values(self.known, self.items.names, catalog, table)
            self._mask[self.known] = self.items.holds(values)
            self.known += 1
            if time.perf_counter() > until_s:
                break
        spent_s = time.thread_time() - began - (self.known - before) * ITEM_S
        self._overspent_s = max(0.0, self._overspent_s + spent_s)

    def check_cost(self) -> None:
        """Raise `RuleError` if it takes too long to look at items."""
        if self._overspent_s > FREE_S:
            raise RuleError(
                f"items: it takes more than {1e6 * ITEM_S:.0f} us of processor time an item; ask "
                "for less, above all with fewer and shorter matches()"
            )

    def _fit(self, size: int) -> None:
        if len(self._mask) < size:
            larger = np.zeros(max(size, len(self._mask) * 5 // 4), np.bool_)
            larger[: len(self._mask)] = self._mask
            self._mask = larger


def said_values(
    position: int, names: Iterable[str], catalog: Catalog, table: ItemTable
) -> dict[str, Any]:
    """What the item at a position says, by those names of `ITEM_VARIABLES` of which it does."""
    item_id, said = catalog.ids[position], table.item(position)
    return {name: value for name in names if (value := _READ[name](item_id, said)) is not None}


def _compiled(name: str, compile_: Callable[[str], Condition], text: str) -> Condition:
    try:
        return compile_(text)
    except ExpressionError as error:
        raise RuleError(f"{name}: {error}") from None


_READ: Mapping[str, Callable[[str, Item | None], Any]] = {
    "item.item_id": lambda item_id, said: item_id,
    "item.title": lambda item_id, said: (said and said.title) or "",
    "item.categories": lambda item_id, said: list(said.categories) if said else [],
    "item.attributes": lambda item_id, said: said.attributes if said else {},
    "item.has_price": lambda item_id, said: said is not None and said.price is not None,
    "item.price": lambda item_id, said: said and said.price,
    "item.currency": lambda item_id, said: (said and said.currency) or "",
    "item.popularity": lambda item_id, said: said and said.popularity,
    "item.available_from_ms": lambda item_id, said: said and said.available_from_ms,
    "item.available_until_ms": lambda item_id, said: said and said.available_until_ms,
}
"""What an item says by name; None where it says nothing."""
