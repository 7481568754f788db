"""All rules of a worker: what is in force, what is coming, and what follows for lists.

An expression over items is evaluated when a rule or an item changes, never for a list: masks by
catalogue position answer from then on. Where that takes long it is done in slices between two
batches (`work`); a rule takes the place of the one before it when all items are looked at.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas import Rule
from stream_app.catalog import Catalog, ItemTable
from stream_app.catalog.table import EVER
from stream_app.degradations import Degradation, degraded
from stream_app.ranking.terms import FREE, Pin, Quota, Terms
from stream_app.rules.expressions import ItemValues
from stream_app.rules.live import LiveRule, RuleError, Situation, said_values

log = logging.getLogger(__name__)

Mask = NDArray[np.bool_]
Active = tuple[LiveRule, ...]

MAX_RULES = 200
"""At a million items 200 MB of masks, and one millisecond for an item that changes."""
MAX_REFUSED = 1_000
BURIED = -1_000.0
"""Nats: more than scores and boosts together can make good."""
MOST_BOOSTED = 100.0
"""Nats that all boosts of an item add up to, at most."""
PIN_CHOICES = 8
"""Items of which a pin takes the first that a user may be shown; a list has few pins."""
MOST_TERMS = 32
"""Of sets of rules; at a million items 5 MB each."""
SLICE_S = 4e-3
"""What a batch waits at most for rules that are being worked on."""
BETWEEN_S = 1e-3
"""The same for items that joined with events of the batch before."""


class RuleStatus(NamedTuple):
    """Figures for operators."""

    in_force: int
    coming: int
    """Taken up, and not in force before all items are looked at."""
    refused: int


class _Ready(NamedTuple):
    stamp: tuple[int, int, int]
    within: Mask | None
    terms: Terms


class RuleBook:
    """Use from one thread at a time."""

    def __init__(
        self, catalog: Catalog, table: ItemTable, popularity: NDArray[np.float32] | None = None
    ) -> None:
        """Of items that could be pinned, the most popular is: by what producers say, or else by
        `popularity` `[N]` or shorter.
        """
        self._catalog = catalog
        self._table = table
        self._popularity = np.zeros(0, np.float32) if popularity is None else popularity
        self._in_force: dict[str, LiveRule] = {}
        self._coming: dict[str, LiveRule] = {}
        self._touched: dict[int, None] = {}  # in the order in which they came
        self._ordered: Active = ()
        self._ready: OrderedDict[tuple[Active, int], _Ready] = OrderedDict()
        self._standing: dict[str, tuple[Active, bool]] = {}
        self._due_ms = EVER.max, EVER.min  # what stands is good from the first to the second
        self._version = 0
        self.refused: dict[str, str] = {}
        """Why the newest record of a rule is not in force, by id."""

    def __len__(self) -> int:
        return len(self._in_force)

    @property
    def in_force(self) -> Active:
        """The rules in force, the highest priority first. From any thread."""
        return self._ordered

    @property
    def coming(self) -> Active:
        """Taken up, and not in force before all items are looked at."""
        return tuple(self._coming.values())

    @property
    def status(self) -> RuleStatus:
        """The figures as they are now."""
        return RuleStatus(len(self._in_force), len(self._coming), len(self.refused))

    def put(self, rule_id: str, rule: Rule | None) -> None:
        """Take up a rule, which is in force when `work` is done; None withdraws it at once.

        One that cannot be done leaves the one before in force.
        """
        self.refused.pop(rule_id, None)
        self._coming.pop(rule_id, None)
        if rule is None:
            if self._in_force.pop(rule_id, None) is not None:
                self._reorder()
            self._watch()
            return
        try:
            if len(self._in_force.keys() | self._coming.keys() | {rule_id}) > MAX_RULES:
                raise RuleError(f"there are {MAX_RULES} rules already; withdraw one first")
            self._coming[rule_id] = LiveRule(rule)
        except RuleError as error:
            self._refuse(rule_id, error)
        self._watch()

    def work(self, seconds: float = SLICE_S) -> bool:
        """Look at items for so long, and a little more; True when there is more to do."""
        if self._table.touched is None:
            return False
        self._touched.update(dict.fromkeys(sorted(self._table.touched)))
        self._table.touched.clear()
        until_s = time.perf_counter() + seconds
        while self._touched:
            position = next(iter(self._touched))
            del self._touched[position]
            self._look_again(position)
            if time.perf_counter() >= until_s:
                break
        size = len(self._catalog)
        for rule_id, one in [*self._in_force.items(), *self._coming.items()]:
            if one.known < size or self._coming.get(rule_id) is one:
                self._look_on(rule_id, one, size, until_s)
                if time.perf_counter() >= until_s:
                    break
        return bool(self._touched or self._coming) or any(
            one.known < size for one in self._in_force.values()
        )

    def active(self, situation: Situation, now_ms: int) -> Active:
        """The rules that hold for a list made at a time (Unix ms), the highest priority first."""
        if not self._ordered:
            return ()
        standing, conditional = self._now(situation.scenario, now_ms)
        if not conditional:
            return standing
        values = situation.values()
        return tuple(one for one in standing if one.when is None or one.when.holds(values))

    def terms(self, active: Active, within: Mask | None = None) -> Terms:
        """What follows from rules that hold; items must also be in `within`, `[N + 1]` or longer.

        The same object until something changes.
        """
        if not active:
            return FREE if within is None else Terms(allowed=within)
        pinning = any(one.effect == "pin" for one in active)
        stamp = self._version, len(self._catalog), self._catalog.changes if pinning else 0
        key = active, id(within)
        ready = self._ready.get(key)
        if ready is None or ready.stamp != stamp:
            ready = self._ready[key] = _Ready(stamp, within, self._terms(active, within))
            if len(self._ready) > MOST_TERMS:
                self._ready.popitem(last=False)
        self._ready.move_to_end(key)
        return ready.terms

    def _now(self, scenario: str, now_ms: int) -> tuple[Active, bool]:
        """The rules for a scenario at a time, and whether any of them asks for more."""
        begin, end = self._due_ms
        if not begin <= now_ms < end:
            edges = {one.rule.from_ms for one in self._ordered}
            edges |= {one.rule.until_ms for one in self._ordered}
            times = [edge for edge in edges if edge is not None]
            self._due_ms = (
                max((edge for edge in times if edge <= now_ms), default=EVER.min),
                min((edge for edge in times if edge > now_ms), default=EVER.max),
            )
            self._standing.clear()
        found = self._standing.get(scenario)
        if found is None:
            rules = tuple(
                one
                for one in self._ordered
                if one.holds_at(now_ms)
                and (not one.rule.scenarios or scenario in one.rule.scenarios)
            )
            if len(self._standing) >= MOST_TERMS:  # whoever asks can name any scenario
                self._standing.clear()
            found = self._standing[scenario] = rules, any(one.when for one in rules)
        return found

    def _terms(self, active: Active, within: Mask | None) -> Terms:
        size = len(self._catalog)
        allowed = self._allowed(active, within, size)
        boosts = np.zeros(size + 1, np.float32)
        buried = np.zeros(size, np.bool_)
        quotas = []
        for one in active:
            mask = one.mask(size)
            if one.rule.boost is not None:
                boosts[:size][mask] += np.float32(one.rule.boost)
            elif one.effect == "bury":
                buried |= mask
            elif one.rule.at_most is not None:
                quotas.append(Quota(np.append(mask, False), one.rule.at_most))
        np.clip(boosts, -MOST_BOOSTED, MOST_BOOSTED, out=boosts)
        boosts[:size][buried] += np.float32(BURIED)
        pins = [
            Pin(one.rule.pin - 1, self._choices(one.mask(size), allowed))
            for one in active
            if one.rule.pin is not None
        ]
        any_boost = any(one.effect in ("boost", "bury") for one in active)
        return Terms(allowed, boosts if any_boost else None, tuple(pins), tuple(quotas))

    def _allowed(self, active: Active, within: Mask | None, size: int) -> Mask | None:
        excluding = [one for one in active if one.effect == "exclude"]
        if not excluding:
            return within
        allowed = np.ones(size + 1, np.bool_) if within is None else within[: size + 1].copy()
        for one in excluding:
            allowed[:size] &= ~one.mask(size)
            allowed[one.known :] = False  # nobody knows yet whether it is about them
        allowed[-1] = False
        return allowed

    def _choices(self, mask: Mask, allowed: Mask | None) -> NDArray[np.int32]:
        """The most popular of the items that may be shown."""
        size = len(mask)
        if allowed is not None:
            mask = mask & allowed[:size]
        if self._catalog.available is not None:
            mask = mask & self._catalog.available[:size]
        items = np.flatnonzero(mask).astype(np.int32)
        known = np.full(size, -1.0, np.float32)
        known[: len(self._popularity)] = self._popularity
        said = self._catalog.popularity[items]
        popularity = np.where(np.isnan(said), known[items], said)
        return items[np.argsort(-popularity, kind="stable")[:PIN_CHOICES]]

    def _look_again(self, position: int) -> None:
        """At one item, for every rule that has looked at it."""
        rules = [one for one in (*self._in_force.values(), *self._coming.values())
                 if position < one.known]  # fmt: skip
        names = {name for one in rules for name in one.items.names}
        values = ItemValues(said_values(position, names, self._catalog, self._table))
        changed = [one.look_again(position, values) for one in rules]
        if any(changed):
            self._version += 1

    def _look_on(self, rule_id: str, one: LiveRule, size: int, until_s: float) -> None:
        if one.known < size:
            one.look_on(size, self._catalog, self._table, until_s)
            self._version += 1
        if self._coming.get(rule_id) is not one:
            return
        try:
            one.check_cost()
        except RuleError as error:
            del self._coming[rule_id]
            self._refuse(rule_id, error)
            return
        if one.known == size:
            del self._coming[rule_id]
            self._in_force[rule_id] = one
            self._reorder()
            log.info("rule %r is in force: %s, about %d items", rule_id, one.effect,
                     np.count_nonzero(one.mask(size)))  # fmt: skip

    def _refuse(self, rule_id: str, error: RuleError) -> None:
        degraded(Degradation.CONTROL_REFUSED)
        log.error("rule %r is refused, what was said of it before holds: %s", rule_id, error)
        if len(self.refused) < MAX_REFUSED:
            self.refused[rule_id] = str(error)

    def _reorder(self) -> None:
        self._ordered = tuple(sorted(self._in_force.values(), key=lambda one: one.order))
        self._version += 1
        self._due_ms = EVER.max, EVER.min
        self._ready.clear()

    def _watch(self) -> None:
        """Have changes of items told while there are rules."""
        if not self._in_force and not self._coming:
            self._table.touched = None
            self._touched.clear()
        elif self._table.touched is None:
            self._table.touched = set()
