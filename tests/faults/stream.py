"""The seeded load: what users do, in the order in which it is sent.

Rare users come once or twice: the row of such a user is where a stale write would survive, because
no later event repairs it. Heavy users have more events than a row's history holds. Some events with
an id are sent twice, as a producer that retries does, and some records are no events at all.
"""

from __future__ import annotations

from enum import IntEnum
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

import schemas
from schemas import MAX_VALUE_BYTES, Click, Purchase

FIRST_MS = 1_700_000_000_000
"""Event times lie in the past, so that a worker whose clock jumps back an hour takes them too."""
FAR_FUTURE_MS = 9_000_000_000_000  # the year 2255, whatever a worker's clock says
HEAVY_USERS = 20
MEDIUM_USERS = 1500
FIRST_RARE = 10_000
ITEMS = 3500
RETRY_WITHIN = 60
"""Messages between an event and its retry: a user's row remembers the last 32 event ids."""
RETURN_WITHIN = 20_000
"""Messages between the first and the second event of a rare user: up to a minute under load."""


class Kind(IntEnum):
    """What must become of a message."""

    EVENT = 0
    """Applied."""
    RETRY = 1
    """Recognised by its event id: counted as a duplicate, not applied."""
    INVALID = 2
    """A dead letter."""


class Message(NamedTuple):
    """One record to send, and what the ledger has to know of it."""

    topic: str
    """`clicks` or `purchases`, without prefix."""
    key: bytes | None
    value: bytes | None
    kind: Kind
    user: int = 0
    timestamp_ms: int = 0
    item: int = 0


class EventStream:
    """An endless iterator of messages, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(seed)
        self._number = 0
        self._next_rare = FIRST_RARE
        self._last_ms: dict[int, int] = {}
        self._due: list[tuple[int, int, Message | int]] = []  # at number, tie break, what

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> Message:
        self._number += 1
        if self._due and self._due[0][0] <= self._number:
            due = heappop(self._due)[2]
            return self._event(due) if isinstance(due, int) else due
        if self._dice.random() < 0.005:
            return self._invalid()
        return self._event(self._user())

    def _later(self, within: int, what: Message | int) -> None:
        heappush(self._due, (self._number + self._dice.randint(1, within), self._number, what))

    def _user(self) -> int:
        dice = self._dice.random()
        if dice < 0.3:
            return self._dice.randrange(HEAVY_USERS)
        if dice < 0.85:
            return HEAVY_USERS + self._dice.randrange(MEDIUM_USERS)
        user, self._next_rare = self._next_rare, self._next_rare + 1
        if self._dice.random() < 0.5:
            self._later(RETURN_WITHIN, user)
        return user

    def _event(self, user: int) -> Message:
        dice = self._dice
        timestamp_ms = FIRST_MS + self._number
        if user in self._last_ms and dice.random() < 0.01:
            timestamp_ms = self._last_ms[user]  # two events of one user at the same time
        if user < FIRST_RARE:
            self._last_ms[user] = timestamp_ms
        topic, kind = ("purchases", Purchase) if dice.random() < 0.2 else ("clicks", Click)
        item = dice.randint(1, ITEMS)
        event_id = f"e{self._number}" if dice.random() < 0.3 else None
        event = kind(
            user_id=f"u{user}", item_id=str(item), timestamp_ms=timestamp_ms, event_id=event_id
        )
        value = schemas.encode(event, "json" if dice.random() < 0.1 else "msgpack")
        key = event.user_id.encode()
        message = Message(topic, key, value, Kind.EVENT, user, timestamp_ms, item)
        if event_id is not None and dice.random() < 0.1:
            self._later(RETRY_WITHIN, message._replace(kind=Kind.RETRY))
        return message

    def _invalid(self) -> Message:
        dice = self._dice
        user = dice.randrange(HEAVY_USERS + MEDIUM_USERS)
        key = b"u%d" % user
        event = Click(user_id=f"u{user}", item_id="1", timestamp_ms=FIRST_MS + self._number)
        value = schemas.encode(event)
        bad: list[tuple[bytes | None, bytes | None]] = [
            (key, dice.randbytes(dice.randint(0, 40))),
            (key, value[: dice.randint(1, len(value) - 1)]),
            (key, None),
            (None, value),
            (b"x" + key, value),
            (
                key,
                schemas.encode(Click(user_id=f"u{user}", item_id="1", timestamp_ms=FAR_FUTURE_MS)),
            ),
        ]
        if dice.random() < 0.05:
            bad = [(key, b"{" * (MAX_VALUE_BYTES + 1))]
        wrong_key, payload = dice.choice(bad)
        return Message("clicks", wrong_key, payload, Kind.INVALID)
