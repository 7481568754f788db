"""Which events the live counts learn from: no user may count for more than one.

Trends and transition counts are shared by everybody, so a script that clicks one item ten thousand
times would put it in front of all. Two rules decide from the user's own row as it was before the
event, so they need no state, no clock, and say the same when events are read again:

- an item counts once per user, again when the user's last event on it is `REPEAT_MS` old. What has
  left the ring but is still among the seen items counts as recent, whenever it was;
- of a burst, `BURST_EVENTS` count for the trends: an event is left out when the user has had so
  many in the `BURST_MS` before it. What follows what is learned from the others too: a burst of
  honest events says it as well as slow ones do, and leaving it out costs hits.

An event left out is applied to its user's row and answered with a list like every other.
"""

from __future__ import annotations

from struct import Struct

from stream_app.users.state import (
    EVENT_BYTES,
    HISTORY_LENGTH,
    SEEN_BYTES,
    SourceEvent,
    UserState,
    seen_entry,
)

REPEAT_MS = 24 * 3_600_000
"""Who comes back to an item on another day says something new about it."""
BURST_EVENTS = HISTORY_LENGTH
"""As far back as the ring shows."""
BURST_MS = 5 * 60_000
"""Three seconds an event, five minutes long: of MovieLens small, 1 rating in 200 is above that."""

_ITEM = Struct("<Q")
_TIME = Struct("<q")
_ENTRY = Struct("<I")
_TIME_AT = 8  # bytes into an event
_BURST_BYTES = BURST_EVENTS * EVENT_BYTES


def in_burst(before: UserState, event: SourceEvent) -> bool:
    """Whether the user has just had so many events that this one must not move the trends."""
    at = len(before.history) - _BURST_BYTES
    return at >= 0 and event.timestamp_ms - _time(before.history, at) < BURST_MS


def is_new(before: UserState, event: SourceEvent) -> bool:
    """Whether the user has not been at this item lately; `before` is the row without the event."""
    history = before.history
    at = _last(history, _ITEM.pack(event.item), EVENT_BYTES)
    if at >= 0:
        return event.timestamp_ms - _time(history, at) >= REPEAT_MS
    seen = before.seen
    if not seen:
        return True
    clicked, bought = seen_entry(event.item, False), seen_entry(event.item, True)
    return (
        _last(seen, _ENTRY.pack(clicked), SEEN_BYTES) < 0
        and _last(seen, _ENTRY.pack(bought), SEEN_BYTES) < 0
    )


def _time(history: bytes, event_at: int) -> int:
    return int(_TIME.unpack_from(history, event_at + _TIME_AT)[0])


def _last(blob: bytes, entry: bytes, size: int) -> int:
    """Where the last entry that begins with these bytes begins; -1 for nowhere."""
    at = blob.rfind(entry)  # on bytes without order faster than `find` and `in`
    while at % size and at >= 0:  # a match across two entries is none
        at = blob.rfind(entry, 0, at + len(entry) - 1)
    return at
