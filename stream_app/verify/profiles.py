"""What users say of themselves, on its topic beside what the rows hold.

Compaction takes records out of that topic, so nothing can be counted: every record that is left
must be passed by its user's row, covered by a list, and if it is the last that the row has passed,
be what the row holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

import schemas
from schemas import Profile
from stream_app.streaming.ownership import NOBODY
from stream_app.users.ids import item_hash
from stream_app.users.profile import UserProfile, profile_of
from stream_app.users.state import UserState
from stream_app.verify.case import place_of
from stream_app.verify.events import DEAD, OPEN, PROFILE, Event
from stream_app.verify.gathered import Gathered, Source
from stream_app.verify.report import Finding, Kind
from stream_app.verify.rows import Record


def is_push(record: Record) -> bool:
    """Whether a worker wrote the record for Kafka to go on with compaction."""
    return record.key == NOBODY and record.value is None


def add_profile(found: Gathered, index: int, source: Source, record: Record) -> None:
    """Take in one record. Raises `RejectedMessage` for what is no profile.

    A withdrawal leaves no trace in a row that says nothing: whether it was passed is open.
    """
    _, said = schemas.decode_profile(record.value, key=record.key)
    flags = 0
    if record.offset in found.letters.of(source.name):
        flags = DEAD
    elif said is None or found.erasures.may_have_removed(record.key, source.name, record.offset):
        flags = OPEN
    user = found.index(record.key or b"")
    found.events.add_profile(user, index, flags, record.offset, record.timestamp, said_digest(said))


def said_digest(said: Profile | UserProfile | None) -> int:
    """What stands for a profile on its topic, or in a row; 0 for none."""
    if said is None:
        return 0
    return item_hash(repr((said.text or "", sorted(said.attributes.items()))))


def said_findings(user: bytes, row: UserState, passed: Sequence[Event]) -> Iterator[Finding]:
    """What the row holds, against the last record that it has passed."""
    for event in passed:
        if not event.flags & PROFILE or event.offset != row.offsets.get(event.applied.source):
            continue
        held = said_digest(profile_of(row) if row.profile else None)
        if held != event.applied.item:
            detail = "the row holds another profile"
            yield Finding(Kind.ALTERED, detail, user, place_of(event))


def without_profiles(row: UserState, found: Gathered) -> UserState:
    """The row as its events make it."""
    profiles = {one.name for one in found.sources if one.profiles}
    if profiles.isdisjoint(row.offsets):
        return row
    offsets = {name: at for name, at in row.offsets.items() if name not in profiles}
    return msgspec.structs.replace(row, offsets=offsets)


def events_only(events: Sequence[Event]) -> Sequence[Event]:
    """Without profiles."""
    return [event for event in events if not event.flags & PROFILE]
