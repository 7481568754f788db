"""The messages that travel on Kafka, as typed structs.

Fields are only ever added, always with a default, so every released payload stays readable.
Times are event times in Unix milliseconds; identifiers are 1 to 256 bytes of UTF-8.
What a list is made of is left out of garbage collection (`gc=False`): it holds no cycles, and a
thousand lists a second would keep the collector busy.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

MAX_ID_BYTES = 256
MAX_K = 200
"""Most items that a request may ask for."""
MAX_QUERY = 1_000
"""Characters of a request's query."""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_BYTES)]
Timestamp = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]  # until the year 9999
# Bounds that every real value keeps and that infinity and NaN break.
Price = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
Number = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
Context = dict[str, str | int | Number | bool | None]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
FilterNames = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...],
    msgspec.Meta(max_length=16),
]
CategoryNames = Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)]


class UserEvent(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What every event of a user carries; `Click` and `Purchase` add to it."""

    user_id: Id
    item_id: Id
    timestamp_ms: Timestamp
    event_id: Id | None = None
    """Set it to make producer retries harmless: a repeated id of the same user is applied once."""
    session_id: Id | None = None
    rec_id: Id | None = None
    """The recommendation that this event answers, if any."""
    context: Context | None = None


class Click(UserEvent, kw_only=True, frozen=True, omit_defaults=True):
    """A user looked at an item, or did something with it short of buying (topic `clicks`)."""

    action: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "click"
    """`view`, `click`, `like`, `add_to_cart`, ...; an unknown action counts as `other`."""


class Purchase(UserEvent, kw_only=True, frozen=True, omit_defaults=True):
    """A user bought an item (topic `purchases`)."""

    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    price: Price | None = None
    """Price of one unit, in `currency`."""
    currency: Annotated[str, msgspec.Meta(min_length=3, max_length=3)] | None = None
    """ISO 4217 code."""


class Impression(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Items of a list that a user really saw (topic `impressions`)."""

    user_id: Id
    rec_id: Id
    """The recommendation that they are of."""
    item_ids: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=MAX_K)]
    """In the order in which they were shown."""
    timestamp_ms: Timestamp
    session_id: Id | None = None
    context: Context | None = None


class Trigger(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, gc=False):
    """The newest event that a recommendation answers."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    event_id: str | None = None


class ScorePart(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one scorer adds to the score of an item."""

    scorer: str
    score: float
    """Nats, the weight of the scorer included."""
    lift: float
    """The same less its mean over the candidates: what sets the item apart from them."""
    share: float
    """Of all positive lifts, 0 to 1; 0 for a part that speaks against the item."""


class EventCause(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A past event of the user that carried an item."""

    item_id: str | None
    """Null for an item that the catalogue does not hold."""
    action: str
    timestamp_ms: int
    contribution: float
    """How much lower the score is without the event, nats."""


class ItemExplanation(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Why an item is in a list, exactly."""

    parts: tuple[ScorePart, ...]
    causes: tuple[EventCause, ...] = ()
    """The strongest first; only events that raise the score."""


class RankedItem(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One place of a ranked list."""

    item_id: str
    score: float
    rank: int
    """1 is the best."""
    sources: tuple[str, ...] = ()
    """The candidate sources that proposed the item."""
    reasons: tuple[str, ...] = ()
    explanation: ItemExplanation | None = None
    """Where a request asked for it."""
    propensity: float | None = None
    """The probability with which this item was put at this place; null where it was not left to
    chance."""


class RuleTrace(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a rule did in a list."""

    rule_id: str
    effect: str
    """`pin`, `boost`, `bury`, `exclude` or `at_most`."""
    ranks: tuple[int, ...] = ()
    """Ranks of the items that it has put or kept there: pinned, boosted, buried, or counted by its
    quota. What it excluded is not in the list."""


class ServingModel(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The release that computed a list, and what ran it."""

    name: str
    version: str
    backend: str


class Experiment(msgspec.Struct, frozen=True, omit_defaults=True):
    """The arm of an experiment in which a list was made."""

    name: str
    arm: str


class Recommendation(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, gc=False):
    """A fresh ranked list for one user (topic `recommendations`)."""

    rec_id: str
    """Derived from user, topic, partition and offset: the same input gives the same id."""
    user_id: str
    items: tuple[RankedItem, ...]
    model: ServingModel
    generated_at_ms: int
    trigger: Trigger | None = None
    request_id: str | None = None
    applied: dict[str, int] = {}
    """What the list covers: last offset applied to the user's state, by `topic/partition`."""
    experiment: Experiment | None = None
    degraded: str | None = None
    """Why the list is not what the model would have made, or null."""
    rules: tuple[RuleTrace, ...] = ()
    """The rules that held for the list, in the order of their priority."""


class RecommendationRequest(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Someone wants a list of a user now (topic `recommendation-requests`).

    The answer is a `Recommendation` with this `request_id` and no `trigger`. Nothing is remembered
    of a request.
    """

    user_id: Id
    """Who the list is for; a user without any event gets what is popular."""
    request_id: Id
    """Comes back in the answer."""
    k: Annotated[int, msgspec.Meta(ge=1, le=MAX_K)] = 10
    """Items that are wanted."""
    exclude: Annotated[tuple[Id, ...], msgspec.Meta(max_length=1000)] = ()
    """Items that must not be in the list, such as those of earlier pages."""
    seed_items: Annotated[tuple[Id, ...], msgspec.Meta(max_length=20)] = ()
    """Items, oldest first, that the list is made as if the user had just clicked on: the item of
    the page, the contents of a basket. They are not in the list."""
    deadline_ms: Timestamp | None = None
    """Unix ms after which an answer is of no use: none is made then."""
    scenario: Name | None = None
    """How the list is made: a name on the topic `scenarios`. Null is `default`."""
    context: Context | None = None
    """What is known of the situation, such as the page or the device; rules can ask for it."""
    categories: CategoryNames = ()
    """The list holds items of these categories only; empty: as the scenario says."""
    filters: FilterNames | None = None
    """What is not recommended again, such as `clicked:30d`; null: as the scenario says."""
    explain: bool = False
    """Whether the answer says exactly why each item is in it, which takes time."""
    query: Annotated[str, msgspec.Meta(max_length=MAX_QUERY)] | None = None
    """What is looked for, in words: this list goes by it, in place of the user's profile."""


class ErasureRequest(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Everything about a user that was appended until now shall go (topic `erasures`).

    "Now" is when Kafka appends the request; the clock of whoever sends it does not matter.
    """

    user_id: Id
    request_id: Id | None = None
    """Comes back in the receipt. It must not name the user, whose data the receipt outlives."""
    requested_at_ms: Timestamp | None = None
    """When the user asked, for the records of whoever sends it; nothing depends on it."""


class Remaining(msgspec.Struct, frozen=True, omit_defaults=True):
    """A topic that may still hold records of an erased user."""

    topic: str
    until_ms: int | None = None
    """By then they are gone, Unix ms; null when the topic keeps records for ever, or its settings
    could not be read."""


class ErasureReceipt(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What became of a request (topic `erasure-receipts`, the partition number of the request).

    It does not name the user: who sent the request knows its topic, partition and offset from
    Kafka's acknowledgement, or the `request_id`.
    """

    topic: str
    partition: int
    offset: int
    """Of the request."""
    appended_ms: int
    """When Kafka appended the request: records of the user appended until then are erased."""
    erased_at_ms: int
    outcome: str
    """`erased`: there was a row, it is removed. `unknown`: there was none. `handled_before`: the
    row that is there was begun after the request, which is read again after a failure."""
    request_id: str | None = None
    reread: bool = False
    """The request was on its topic before its partition came to this worker, so another one may
    have handled it. Then its receipt, if it could be written, says what was removed."""
    events: int | None = None
    """Events that the removed row was made of; null where there was none, or it was damaged."""
    row_bytes: int = 0
    """Size of the removed row's state."""
    dropped: int = 0
    """Events of the user that were read together with the request and not applied any more."""
    applied: dict[str, int] = {}
    """Last offset that the removed row had applied, by `topic/partition`."""
    remaining: tuple[Remaining, ...] = ()


class DeadLetter(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A message that could not be applied, with all that is needed to replay it."""

    reason: str
    """A code of `schemas.errors.Reason`."""
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Timestamp of the original record."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    truncated: tuple[str, ...] = ()
    """Which of `key`, `value`, `headers` were cut to fit; the original stays at its offset."""
