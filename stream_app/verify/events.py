"""The source events of one partition number in columns: 50 bytes each instead of Python objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from schemas import Click, Purchase
from stream_app.users.actions import PURCHASE, action_code
from stream_app.users.ids import item_hash
from stream_app.users.state import SourceEvent

MAX_WEIGHT = 255
"""The largest weight that a row holds; see `recommender`."""

DEAD = 1
"""A dead letter names the event: it must not be in the row."""
OPEN = 2
"""Whether it was rejected cannot be known yet: it may be in the row or not."""
PROFILE = 4
"""No event, but what was said of the user; `SourceEvent.item` is the digest of it, 0 for a
withdrawal."""

_PACKED = Struct("<IBBQqqqBBQH")
_DTYPE = np.dtype(
    [
        ("user", "<u4"), ("source", "u1"), ("flags", "u1"), ("item", "<u8"),
        ("timestamp_ms", "<i8"), ("offset", "<i8"), ("appended_ms", "<i8"),
        ("action", "u1"), ("weight", "u1"), ("id_at", "<u8"), ("id_size", "<u2"),
    ]
)  # fmt: skip
_CHUNK = 50_000  # events turned into Python objects at a time


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a user, as the comparison takes it."""

    source: int
    """Index of the source topic."""
    flags: int
    appended_ms: int
    """When Kafka appended it; what `sorted_by_arrival` is an estimate of."""
    applied: SourceEvent
    """What `apply` takes."""

    @property
    def offset(self) -> int:
        """Offset on its source partition."""
        return self.applied.offset


class EventLog:
    """Append events source by source in topic order, then iterate by user."""

    def __init__(self, source_names: tuple[str, ...]) -> None:
        """`source_names` are `topic/partition` by source index."""
        self._names = source_names
        self._rows = bytearray()
        self._ids = bytearray()

    def __len__(self) -> int:
        return len(self._rows) // _PACKED.size

    def add(
        self,
        user: int,
        source: int,
        flags: int,
        offset: int,
        appended_ms: int,
        message: Click | Purchase,
    ) -> None:
        """Append one event; `user` is an index that the caller gives out."""
        if isinstance(message, Purchase):
            action, weight = PURCHASE, min(message.quantity, MAX_WEIGHT)
        else:
            action, weight = action_code(message.action), 1
        id_at = id_size = 0
        if message.event_id is not None:
            encoded = message.event_id.encode()
            id_at, id_size = len(self._ids), len(encoded)
            self._ids += encoded
        self._rows += _PACKED.pack(
            user,
            source,
            flags,
            item_hash(message.item_id),
            message.timestamp_ms,
            offset,
            appended_ms,
            action,
            weight,
            id_at,
            id_size,
        )

    def add_profile(
        self, user: int, source: int, flags: int, offset: int, appended_ms: int, said: int
    ) -> None:
        """Append what was said of a user, by its digest."""
        self._rows += _PACKED.pack(
            user, source, flags | PROFILE, said, 0, offset, appended_ms, 0, 0, 0, 0
        )

    def forget_before(self, source: int, offset: int) -> None:
        """Drop what retention deleted while it was read: there may be holes between."""
        rows = self._array()
        keep = (rows["source"] != source) | (rows["offset"] >= offset)
        if not keep.all():
            self._rows = bytearray(rows[keep].tobytes())

    def by_user(self) -> Iterator[tuple[int, list[Event]]]:
        """Events of each user that has any, in topic order per source.

        Sources are merged by append time, which is about the order of their arrival at a worker.
        """
        rows = self._array()
        if not len(rows):
            return
        appended = rows["appended_ms"].copy()
        for source in range(len(self._names)):  # clocks jump; the order of a topic does not
            own = rows["source"] == source
            appended[own] = np.maximum.accumulate(appended[own])
        rows = rows[np.lexsort((appended, rows["user"]))]
        for start, end in _slices(rows["user"]):
            yield from self._groups(rows[start:end])

    def _groups(self, rows: NDArray[np.void]) -> Iterator[tuple[int, list[Event]]]:
        user, events = -1, list[Event]()
        for packed in rows.tolist():
            if packed[0] != user and events:
                yield user, events
                events = []
            user = packed[0]
            events.append(self._event(packed))
        yield user, events

    def _event(self, packed: tuple[int, ...]) -> Event:
        _, source, flags, item, timestamp_ms, offset, appended_ms, action, weight, at, size = packed
        event_id = self._ids[at : at + size].decode() if size else None
        name = self._names[source]
        taken = SourceEvent(item, timestamp_ms, action, weight, name, offset, event_id)
        return Event(source, flags, appended_ms, taken)

    def _array(self) -> NDArray[np.void]:
        return np.frombuffer(bytes(self._rows), _DTYPE)


def _slices(users: NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    """Slices of about `_CHUNK` of sorted user indices that end between two users."""
    ends = np.append(np.flatnonzero(np.diff(users)) + 1, len(users))
    start = 0
    while start < len(users):
        at = min(int(np.searchsorted(ends, start + _CHUNK)), len(ends) - 1)
        end = int(ends[at])
        yield start, end
        start = end
