"""The sequence state of one user, and `apply`: one event in, the next state out.

Pure and without a clock: the state after a sequence of events depends on nothing but the
sequence, so a worker that reads some of it twice, or in other batches, ends at the same row.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum
from struct import Struct as Packing
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.users.actions import PURCHASE
from stream_app.users.ids import id_digest

HISTORY_LENGTH = 100
"""Events in the ring: re-encoding the last 100 scores like re-encoding all (measured on ML-1M)."""
SEEN_LENGTH = 400
"""Items remembered after they left the ring, so that they are not recommended again. On MovieLens
that is worth 8 % of the hit rate; twice as many add 1 %.
"""
EVENT_IDS = 32
"""Remembered event ids: producer retries come within seconds, far fewer events than this."""
MAX_SOURCES = 16
"""Remembered source partitions: a user is on one per topic, the rest is safety."""
ROW_VERSION = 1

EVENT_DTYPE = np.dtype(
    [("item", "<u8"), ("timestamp_ms", "<i8"), ("action", "u1"), ("weight", "u1")]
)
"""One packed event of the ring: 18 bytes."""
EVENT_BYTES = EVENT_DTYPE.itemsize
SEEN_DTYPE = np.dtype("<u4")
"""One remembered item: the low 32 bits of its hash, the last of them replaced by "was bought"."""
SEEN_BYTES = SEEN_DTYPE.itemsize
SEEN_BOUGHT = 1
DIGEST_BYTES = 8
NO_ITEM = 0
"""The item hash that stands for no item."""

_EVENT = Packing("<QqBB")
_SEEN = Packing("<I")
_TIMESTAMP = Packing("<q")
_TIMESTAMP_AT = 8  # bytes into an event
_RING_BYTES = HISTORY_LENGTH * EVENT_BYTES
_IDS_BYTES = EVENT_IDS * DIGEST_BYTES
_SEEN_MAX_BYTES = SEEN_LENGTH * SEEN_BYTES


class Outcome(StrEnum):
    """What `apply` did with an event."""

    APPLIED = "applied"
    """Appended to the history: the recurrent state can take one step."""
    LATE = "late"
    """Older than the newest event: put in its place, the recurrent state has to be replayed."""
    TOO_LATE = "too_late"
    """Older than everything in a full ring, which stays as it is: counted, and its item seen."""
    REPLAYED = "replayed"
    """Its offset was applied before: the state is unchanged."""
    DUPLICATE = "duplicate"
    """Its event id was applied before at another offset: only that offset is remembered."""
    UNCHANGED = "unchanged"
    """A withdrawal of what was not there: the state is unchanged, and remembers nothing of it."""


class SourceEvent(msgspec.Struct, frozen=True, gc=False):
    """One event as the row takes it, with the place on Kafka it was read from."""

    item: int
    """`item_hash` of the item id."""
    timestamp_ms: int
    action: int
    weight: int
    """0 to 255: the quantity of a purchase, 1 otherwise."""
    source: str
    """`topic/partition`."""
    offset: int
    event_id: str | None = None


class UserState(
    msgspec.Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="v",
    tag=ROW_VERSION,
    rename={
        "history": "h",
        "seen": "e",
        "hidden": "s",
        "vector": "u",
        "release": "r",
        "offsets": "o",
        "event_ids": "i",
        "events": "n",
        "late": "l",
        "duplicates": "d",
        "last_timestamp_ms": "t",
        "shown": "w",
        "served": "q",
        "last_list": "k",
        "profile": "p",
    },
):
    """The row of a user. Read and written by `codec`; bounded whatever the user does."""

    history: bytes = b""
    """The ring: packed `EVENT_DTYPE`, oldest first by event time, ties in order of arrival."""
    seen: bytes = b""
    """Items that left the ring: packed `SEEN_DTYPE`, the last to leave at the end."""
    hidden: bytes = b""
    """Recurrent state, float16 `[S]`; empty until an encoder has run."""
    vector: bytes = b""
    """User vector after the last event, float16 `[d]`; empty as `hidden`."""
    release: str = ""
    """`name@version` of the bundle that made `hidden` and `vector`; empty: replay the ring."""
    offsets: dict[str, int] = {}
    """Last applied offset by `topic/partition`."""
    event_ids: bytes = b""
    """8-byte digests of the last event ids, oldest first."""
    events: int = 0
    """Events taken: applied, late and too late."""
    late: int = 0
    duplicates: int = 0
    last_timestamp_ms: int = 0
    """Event time of the newest event in the ring."""
    profile: bytes = b""
    """A packed `users.profile.UserProfile`; empty where nothing is said of the user."""
    extra: dict[str, Any] = {}
    """Fields of a newer writer, kept for it."""
    shown: bytes = b""
    """Items of impressions: packed `shown.SHOWN_DTYPE`, the last to be read at the end."""
    served: bytes = b""
    """Items of lists after events: packed `shown.SHOWN_DTYPE`, the last list at the end."""
    last_list: int = 0
    """How many entries of `served` are of the last list."""


def apply(state: UserState, event: SourceEvent) -> tuple[UserState, Outcome]:
    """Return the state after one event, and what was done with it.

    An applied event leaves `hidden` and `vector` one step behind the ring: the caller steps them.
    A late one empties them together with `release`: no step can repair them, a replay of the ring
    does.
    """
    if event.offset <= state.offsets.get(event.source, -1):
        return state, Outcome.REPLAYED
    offsets = advanced(state.offsets, event.source, event.offset)
    event_ids = state.event_ids
    if event.event_id is not None:
        digest = id_digest(event.event_id)
        if holds_digest(event_ids, digest):
            return _duplicate(state, offsets), Outcome.DUPLICATE
        event_ids = (event_ids + digest)[-_IDS_BYTES:]
    packed = _EVENT.pack(event.item, event.timestamp_ms, event.action, event.weight)
    if event.timestamp_ms >= state.last_timestamp_ms:
        history, seen = _kept(state.history + packed, state.seen)
        appended = UserState(
            history,
            seen,
            state.hidden,
            state.vector,
            state.release,
            offsets,
            event_ids,
            state.events + 1,
            state.late,
            state.duplicates,
            event.timestamp_ms,
            state.profile,
            state.extra,
            state.shown,
            state.served,
            state.last_list,
        )
        return appended, Outcome.APPLIED
    history, seen = _kept(_placed(state.history, packed, event.timestamp_ms), state.seen)
    late = history != state.history
    placed = UserState(
        history,
        seen,
        b"" if late else state.hidden,
        b"" if late else state.vector,
        "" if late else state.release,
        offsets,
        event_ids,
        state.events + 1,
        state.late + 1,
        state.duplicates,
        state.last_timestamp_ms,
        state.profile,
        state.extra,
        state.shown,
        state.served,
        state.last_list,
    )
    return placed, Outcome.LATE if late else Outcome.TOO_LATE


def newest_events(history: bytes, count: int) -> bytes:
    """The last `count` packed events of a history; bytes of zeros, `NO_ITEM`, before the first."""
    size = count * EVENT_BYTES
    return history[-size:].rjust(size, b"\0")


def events_of(history: bytes) -> NDArray[np.void]:
    """The events of a packed history as a read-only record array `[n]` of `EVENT_DTYPE`."""
    return np.frombuffer(history, EVENT_DTYPE)


def seen_entry(item: int, bought: bool) -> int:
    """What `UserState.seen` holds for an item hash."""
    return item & 0xFFFF_FFFE | (SEEN_BOUGHT if bought else 0)


def _kept(history: bytes, seen: bytes) -> tuple[bytes, bytes]:
    """Cut a history to the ring; what falls out is remembered among the seen items."""
    surplus = len(history) - _RING_BYTES
    if surplus <= 0:
        return history, seen
    for at in range(0, surplus, EVENT_BYTES):
        item, _, action, _ = _EVENT.unpack_from(history, at)
        # Looking for an entry of the same item would cost more than all the rest of `apply`.
        seen += _SEEN.pack(seen_entry(item, action == PURCHASE))
    return history[surplus:], seen[-_SEEN_MAX_BYTES:]


def _placed(history: bytes, packed: bytes, timestamp_ms: int) -> bytes:
    """The history with a late event in its place."""
    count = len(history) // EVENT_BYTES

    def timestamp_at(position: int) -> int:
        at = position * EVENT_BYTES + _TIMESTAMP_AT
        return int(_TIMESTAMP.unpack_from(history, at)[0])

    cut = bisect_right(range(count), timestamp_ms, key=timestamp_at) * EVENT_BYTES
    return history[:cut] + packed + history[cut:]


def _duplicate(state: UserState, offsets: dict[str, int]) -> UserState:
    return msgspec.structs.replace(state, offsets=offsets, duplicates=state.duplicates + 1)


def advanced(offsets: dict[str, int], source: str, offset: int) -> dict[str, int]:
    """The applied offsets after one more; of more than `MAX_SOURCES` the first is forgotten."""
    offsets = {**offsets, source: offset}
    if len(offsets) > MAX_SOURCES:
        del offsets[next(iter(offsets))]
    return offsets


def holds_digest(digests: bytes, digest: bytes) -> bool:
    """Whether a digest is one of those that stand side by side in `digests`."""
    at = digests.find(digest)
    while at % DIGEST_BYTES and at >= 0:  # a match across two digests is none
        at = digests.find(digest, at + 1)
    return at >= 0
