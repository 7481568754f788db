"""One user's row beside the events that it must be made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

from stream_app.users.state import DIGEST_BYTES, EVENT_BYTES, SourceEvent, UserState
from stream_app.verify.events import Event
from stream_app.verify.report import Finding, Kind

_EVENT = Struct("<QqBB")
_TIMESTAMP = Struct("<q")
_TIMESTAMP_AT = 8


@dataclass(frozen=True, slots=True)
class Case:
    """What is compared."""

    user: bytes
    row: UserState
    events: Sequence[Event]
    """Those that the row has passed, without dead letters: topic order per source, the sources
    merged by about their time of arrival."""
    dead: Sequence[Event] = ()
    """Those of the user that are dead letters."""
    whole: bool = True
    """`events` begins with the user's first event: nothing is hidden by retention or range."""
    begin_ms: int = 0
    """Append time at which the visible events begin, when not `whole`."""

    def ring(self) -> list[bytes]:
        """Packed events of the row, as they stand."""
        history = self.row.history
        return [history[at : at + EVENT_BYTES] for at in range(0, len(history), EVENT_BYTES)]

    def remembered_ids(self) -> list[bytes]:
        """Digests of event ids in the row, as they stand."""
        ids = self.row.event_ids
        return [ids[at : at + DIGEST_BYTES] for at in range(0, len(ids), DIGEST_BYTES)]

    def found(self, kind: Kind, detail: str, event: Event | None = None, count: int = 1) -> Finding:
        """A finding about this user."""
        place = place_of(event) if event else None
        return Finding(kind, detail, self.user, place, count)


def pack(event: SourceEvent) -> bytes:
    """An event as a ring holds it."""
    return _EVENT.pack(event.item, event.timestamp_ms, event.action, event.weight)


def time_of(packed: bytes) -> int:
    """Event time of a packed event, Unix ms."""
    return int(_TIMESTAMP.unpack_from(packed, _TIMESTAMP_AT)[0])


def place_of(event: Event) -> str:
    """`topic/partition@offset`."""
    return f"{event.applied.source}@{event.offset}"
