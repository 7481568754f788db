"""What an explanation says, as structs that become JSON."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Status(StrEnum):
    """Whether an item is in the list, and if not, why."""

    LISTED = "listed"
    FILTERED = "filtered"
    """`ExplainedItem.filters` forbid it."""
    OUTRANKED = "outranked"
    """It is a candidate, but others come first."""
    NOT_PROPOSED = "not_proposed"
    """No source proposed it."""


class Part(msgspec.Struct, frozen=True):
    """What one scorer adds to a score."""

    scorer: str
    source: str | None
    """The source that proposes by the same evidence; null where there is none."""
    score: float
    """Nats, the weight of the scorer included."""
    lift: float
    """The same less its mean over the candidates: what sets this item apart from them."""
    share: float
    """Of all positive lifts, 0 to 1; 0 for a part that speaks against the item."""


class Cause(msgspec.Struct, frozen=True):
    """A past event and what it did for an item."""

    place: int
    """1 is the user's newest event."""
    item_id: str | None
    """Null for an item that the catalogue does not hold."""
    action: str
    timestamp_ms: int
    contribution: float
    """How much lower the score is without the event, nats."""
    by: dict[str, float]
    """The same by scorer."""


class ExplainedItem(msgspec.Struct, frozen=True):
    """One item: why it is in the list, or why not."""

    item_id: str
    status: Status
    rank: int | None
    """In the list; 1 is the best, null when it is not in it."""
    place: int
    """By score among the candidates, also where it is none of them: the place it would have."""
    score: float
    sources: tuple[str, ...]
    """Which sources proposed it."""
    parts: tuple[Part, ...]
    causes: tuple[Cause, ...]
    """The events that carried it, the strongest first; only those that raise its score."""
    older: float | None = None
    """What events add that have left the ring but are still in the encoder's state, nats; null
    where there are none, and where the row was replayed without them."""
    filters: tuple[str, ...] = ()
    """Which filters forbid it; `rule x` is the rule x, which excludes it."""
    rules: tuple[str, ...] = ()
    """The rules that are about it, with their effects."""


class RuleEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule did in the list."""

    rule_id: str
    effect: str
    """`pin`, `boost`, `bury`, `exclude` or `at_most`."""
    value: float | None
    """The place, the nats or the number of items."""
    items: int
    """Of the catalogue, that the rule is about."""
    candidates: int
    """Of them, those that the list would have been chosen from if no rule excluded anything."""
    ranks: tuple[int, ...]
    """Of the items of the list that it pinned, boosted, buried, or counted by its quota."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A user's list, and why it is as it is."""

    release: str
    """`name@version` of the bundle."""
    backend: str
    k: int
    candidates: int
    """How many permitted items the list was chosen from."""
    ring: int
    """Events in the user's ring, each of which was left out once."""
    events: int
    """Events of the user in all."""
    replayed_from: str | None = None
    """The release that made the row, when it is another one and the row was replayed from its ring;
    empty where no encoder has run on the row."""
    degraded: bool = False
    """The encoder gave a vector that is not finite: the list is made without it, and no event was
    left out."""
    items: tuple[ExplainedItem, ...] = ()
    rules: tuple[RuleEffect, ...] = ()
    """The rules that held for the list, in the order of their priority."""
