"""A seeded stream of payloads, good and hostile, each with the verdict that it must get.

The verdict comes from how a payload was made, never from decoding it: a maker takes a message that
is right and does one thing to it. `None` stands for "accepted".

    for sample in samples(seed=1, now_ms=1_750_000_000_000): ...
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Literal, NamedTuple

import msgpack

from schemas import MAX_CLOCK_SKEW_MS, MAX_VALUE_BYTES, Reason

Topic = Literal["clicks", "purchases"]
Fields = dict[str, Any]
Headers = tuple[tuple[str, bytes | None], ...]

BLOCK = 1_000  # makers drawn at a time
USERS = 2_000
ITEMS = 9_000
LAST_MS = 253_402_300_799_999  # the end of the year 9999
AGE_MS = 10**9  # so much before now the stream begins, in event time
EVENTS_PER_MS = 100  # slow enough that a later stream begins after an earlier one has ended


class Sample(NamedTuple):
    """One record for a source topic and what must become of it."""

    name: str
    """What was done to it: the name of its maker."""
    topic: Topic
    key: bytes | None
    value: bytes | None
    headers: Headers
    expected: Reason | None
    """The reason of its dead letter; None when it must be applied."""


class Made(NamedTuple):
    """What a maker returns."""

    value: bytes | None
    expected: Reason | None
    key: bytes | Literal["user"] | None = "user"
    headers: Headers = ()


class Draft:
    """A right message that a maker may spoil, and the dice to do it with."""

    def __init__(self, dice: random.Random, now_ms: int, position: int) -> None:
        self.dice = dice
        self.now_ms = now_ms
        self.topic: Topic = "purchases" if dice.random() < 0.3 else "clicks"
        self.json = dice.random() < 0.5
        self.user = f"user-{dice.randrange(USERS)}"
        self.fields: Fields = {
            "user_id": self.user,
            "item_id": str(dice.randrange(1, ITEMS)),
            "timestamp_ms": now_ms - AGE_MS + position // EVENTS_PER_MS,
        }
        if dice.random() < 0.3:
            self._more()

    def _more(self) -> None:
        dice, fields = self.dice, self.fields
        fields["session_id"] = f"s{dice.randrange(10**6)}"
        fields["context"] = {"page": dice.randrange(9), "ratio": dice.random(), "app": "shop"}
        if self.topic == "purchases":
            fields |= {"quantity": dice.randint(1, 5), "price": 9.5, "currency": "EUR"}
        else:
            fields["action"] = dice.choice(("view", "click", "like", "add_to_cart", "ünknown"))

    def dump(self, **changed: Any) -> bytes:
        """The message with some fields changed."""
        return dump({**self.fields, **changed}, self.json)

    def with_raw(self, packed: bytes, text: bytes) -> bytes:
        """The message with one more field, given as bytes of either encoding."""
        if self.json:
            return dump(self.fields, True)[:-1] + b"," + text + b"}"
        return bytes([0x80 + len(self.fields) + 1]) + dump(self.fields, False)[1:] + packed

    def instead(self, field: str, packed: bytes, text: bytes) -> bytes:
        """The message with the value of a field given as bytes of either encoding."""
        fields = {name: value for name, value in self.fields.items() if name != field}
        draft = Draft.__new__(Draft)
        draft.fields, draft.json = fields, self.json
        name = dump(field, self.json)
        return draft.with_raw(name + packed, name + b":" + text)


Maker = Callable[[Draft], Made]
_MAKERS: list[tuple[Maker, float]] = []

DECODE, VALIDATION = Reason.DECODE_ERROR, Reason.VALIDATION_ERROR
IDS = ("user_id", "item_id", "event_id", "session_id", "rec_id")


def dump(value: Any, as_json: bool) -> bytes:
    """Encode with libraries that the application does not use for events."""
    if as_json:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    packed = msgpack.packb(value)
    assert isinstance(packed, bytes)
    return packed


def maker(weight: float = 1.0) -> Callable[[Maker], Maker]:
    """Add a maker to the stream; heavier ones come more often."""

    def add(function: Maker) -> Maker:
        _MAKERS.append((function, weight))
        return function

    return add


def samples(
    seed: int, *, now_ms: int, hostile: float = 1.0, names: frozenset[str] | None = None
) -> Iterator[Sample]:
    """An endless stream; the share `hostile` is drawn from all makers, the rest is right.

    `names` limits it to some makers.
    """
    from tests.hostile import makers  # noqa: F401  (registers them)

    dice = random.Random(seed)
    chosen = [(make, weight) for make, weight in _MAKERS if not names or make.__name__ in names]
    makers_, weights = zip(*chosen, strict=True)
    for block in count(step=BLOCK):
        for position, make in enumerate(dice.choices(makers_, weights, k=BLOCK), start=block):
            draft = Draft(dice, now_ms, position)
            if hostile < 1 and dice.random() >= hostile:
                yield Sample("plain", draft.topic, draft.user.encode(), draft.dump(), (), None)
                continue
            made = make(draft)
            key = draft.user.encode() if made.key == "user" else made.key
            yield Sample(make.__name__, draft.topic, key, made.value, made.headers, made.expected)


def names() -> list[str]:
    """The names of all makers."""
    from tests.hostile import makers  # noqa: F401

    return [make.__name__ for make, _ in _MAKERS]


def longest(dice: random.Random, least: int) -> int:
    """A length from `least` to what still fits a value, mostly near the lower end."""
    return int(least * (MAX_VALUE_BYTES / 2 / least) ** (dice.random() ** 3))


FUTURE_MS = MAX_CLOCK_SKEW_MS + 3_600_000
"""So much ahead is too much, also an hour after a payload was made."""
