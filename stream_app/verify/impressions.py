"""The impressions of one partition number, where workers read them, beside what the rows hold.

They come of one topic, so their order is known: what a row must hold is known entry by entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

import schemas
from schemas import Impression, RejectedMessage
from schemas.codec import MAX_CLOCK_SKEW_MS
from stream_app.source_messages import ShownMessage, source_impression
from stream_app.streaming.rows import unseal
from stream_app.users.codec import decode_state
from stream_app.users.shown import SHOWN_DTYPE, shown_after
from stream_app.users.state import UserState
from stream_app.verify.gathered import Gathered, Source
from stream_app.verify.lists import NOTHING
from stream_app.verify.report import Finding, Kind, Report
from stream_app.verify.rows import Record, Valid


@dataclass(slots=True)
class _User:
    """A row, and what it must hold of the impressions that were read."""

    valid: Valid | None
    row: UserState | None
    """None for no row, a removed one, and one that cannot be read."""
    passed: int = NOTHING
    """The last offset that the row has applied."""
    ring: bytes = b""
    last: int = NOTHING
    """The last impression that the row has passed."""
    unsure: bool = False
    """One of them may be in the row or not."""


class Impressions:
    """Add the records of the topic in their order, then ask for the findings."""

    def __init__(self, found: Gathered, source: Source, report: Report) -> None:
        """`found` holds rows, dead letters and erasures already; `source` has its range."""
        self._found = found
        self._source = source
        self._report = report
        self._users: dict[bytes, _User] = {}
        self._findings: list[Finding] = []

    def add(self, record: Record) -> None:
        """Take in one record."""
        self._report.checked["impressions"] += 1
        source, erasures = self._source, self._found.erasures
        if erasures.covers(record):
            self._report.notes["erased_events"] += 1
            return
        if record.offset in self._found.letters.of(source.name):
            return
        try:
            shown = schemas.decode_impression(record.value, key=record.key)
        except RejectedMessage as rejected:
            self._missing(record, f"rejected ({rejected.reason.value}), and not a dead letter")
            return
        user = self._user(record.key or b"")
        if self._may_be_future(shown, record) or erasures.may_have_removed(
            record.key, source.name, record.offset
        ):
            user.unsure = True
        elif record.offset > user.passed:
            self._not_passed(user, record)
        else:
            place = ShownMessage(shown, source.topic, source.partition, record.offset)
            user.ring = shown_after(user.ring, source_impression(place))
            user.last = record.offset

    def findings(self) -> Iterator[Finding]:
        """What is wrong, once all were added."""
        yield from self._findings
        for name in self._found.rows.by_user:
            user = self._user(name)
            if user.row is None or user.valid is None:
                continue
            if self._found.erasures.pending(name):
                continue
            if user.passed >= self._source.end:
                place = f"{self._source.name}@{user.passed}"
                detail = f"the row has applied {place}, the log ends at {self._source.end}"
                yield Finding(Kind.BEYOND, detail, name, place)
            elif user.unsure:
                self._report.unchecked["users_with_uncertain_impressions"] += 1
            else:
                yield from self._compared(name, user, user.row.shown, user.valid)

    def _compared(self, name: bytes, user: _User, ring: bytes, valid: Valid) -> Iterator[Finding]:
        whole = self._source.start == 0 and valid.removed_ms is None
        if whole and user.passed != user.last:
            detail = f"the row has applied {self._source.name}@{user.passed}, which is none of it"
            yield Finding(Kind.ALTERED, detail, name)
        expected, held = user.ring, ring
        if self._source.start > 0 and len(held) > len(expected):  # shown before the range
            held = held[len(held) - len(expected) :]
        if valid.removed_ms is not None and len(expected) > len(held):  # gone with an older row
            expected = expected[len(expected) - len(held) :]
        yield from _differences(name, expected, held)

    def _not_passed(self, user: _User, record: Record) -> None:
        if user.valid is not None and user.valid.row is not None and user.row is None:
            self._report.unchecked["impressions_of_damaged_rows"] += 1
            return
        removed_ms = None
        if user.valid is not None:
            removed_ms = user.valid.written_ms if user.row is None else user.valid.removed_ms
        newer = removed_ms is None or (
            self._source.dated and record.timestamp > removed_ms + MAX_CLOCK_SKEW_MS
        )
        if newer or user.passed != NOTHING:
            self._missing(record, "an impression that the row of its user has not passed")
        else:
            self._report.unchecked["impressions_of_removed_users"] += 1

    def _missing(self, record: Record, detail: str) -> None:
        if record.offset >= self._source.limit:
            return
        if self._found.erasures.pending(record.key or b""):
            return
        if self._found.letters_hidden(self._source, record.timestamp):
            self._report.unchecked["impressions_whose_dead_letter_may_be_deleted"] += 1
            return
        place = f"{self._source.name}@{record.offset}"
        self._findings.append(Finding(Kind.LOST, detail, record.key, place))

    def _may_be_future(self, shown: Impression, record: Record) -> bool:
        """Whether a worker may have found its time to lie in the future."""
        source = self._source
        known = record.offset < source.limit and not self._found.letters_hidden(
            source, record.timestamp
        )
        return not known and (
            not source.dated or shown.timestamp_ms > record.timestamp + MAX_CLOCK_SKEW_MS
        )

    def _user(self, name: bytes) -> _User:
        if name not in self._users:
            valid = self._found.rows.by_user.get(name)
            row = None if valid is None or valid.row is None else _decoded(valid.row)
            passed = NOTHING if row is None else row.offsets.get(self._source.name, NOTHING)
            self._users[name] = _User(valid, row, passed)
        return self._users[name]


def without_impressions(row: UserState, source: str) -> UserState:
    """The row as its events make it."""
    if source not in row.offsets:
        return row
    offsets = {name: at for name, at in row.offsets.items() if name != source}
    return msgspec.structs.replace(row, offsets=offsets)


def _decoded(row: bytes) -> UserState | None:
    try:
        return decode_state(unseal(row))
    except ValueError:
        return None  # told with the other damage


def _differences(user: bytes, expected: bytes, held: bytes) -> Iterator[Finding]:
    """How the ring of a row differs from what impressions make of it."""
    if expected == held:
        return
    wanted, there = (
        Counter(np.frombuffer(ring, SHOWN_DTYPE).tolist()) for ring in (expected, held)
    )
    for kind, count, detail in (
        (Kind.LOST, (wanted - there).total(), "shown items are not in the row"),
        (Kind.DUPLICATED, _repeated(there, wanted), "shown items are in the row too often"),
        (Kind.ALTERED, _unknown(there, wanted), "items in the row that no impression shows"),
    ):
        if count:
            yield Finding(kind, detail, user, count=count)
    if wanted == there:
        yield Finding(Kind.MISORDERED, "shown items in another order than the topic's", user)


def _repeated(there: Counter[object], wanted: Counter[object]) -> int:
    return sum(count for entry, count in (there - wanted).items() if entry in wanted)


def _unknown(there: Counter[object], wanted: Counter[object]) -> int:
    return sum(count for entry, count in (there - wanted).items() if entry not in wanted)
