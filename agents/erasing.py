"""The part of a batch that has to do with erasure, before anything is applied.

Requests are taken out of the batch, and with them every event of their users that was appended
until then; the rows that the rest is applied to are replaced by those of new users. So nothing that
was to be published for an erased user ever exists. See docs/erasure.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from agents.records import Record
from schemas import ErasureReceipt, ErasureRequest, Remaining
from stream_app.users.codec import decode_state, encode_state
from stream_app.users.erasure import Erasure, begun_after, first_appended_ms, fresh_state
from stream_app.users.state import UserState

Holdings = Callable[[int], tuple[Remaining, ...]]
"""Which topics still hold records of somebody erased at a time (Unix ms), and until when."""

ERASED = "erased"
UNKNOWN = "unknown"
HANDLED_BEFORE = "handled_before"

DROPPED = "erased"
"""Outcome of an event that was appended before its user's erasure."""


class Request(NamedTuple):
    """A valid request and its record."""

    record: Record
    message: ErasureRequest

    @property
    def user(self) -> bytes:
        """The key, which is the user."""
        return self.message.user_id.encode()

    @property
    def erasure(self) -> Erasure:
        """What is remembered of it."""
        return Erasure(self.record.timestamp_ms, self.record.offset)


@dataclass(slots=True)
class Erased:
    """What is left of a batch."""

    events: list[Record]
    """Those that are to be applied."""
    rows: dict[bytes, bytes | None]
    """What they are to be applied to."""
    dropped: list[Record] = field(default_factory=list)
    receipts: list[tuple[Request, ErasureReceipt]] = field(default_factory=list)
    removed: dict[bytes, int] = field(default_factory=dict)
    """Users whose row has to go, with their partition."""
    erasures: list[tuple[int, bytes, Erasure]] = field(default_factory=list)
    """Partition, user and request: to be remembered once everything is published."""


def erase(
    records: Sequence[Record],
    requests: Sequence[Request],
    rows: Mapping[bytes, bytes | None],
    known: Mapping[bytes, Erasure],
    source: str,
    now_ms: int,
    holdings: Holdings,
) -> Erased:
    """Apply erasures to a batch. `records` are its events, `rows` its stored states.

    `known` are the erasures of users of the batch as this worker has read them, before it or at its
    assignment; `source` is the topic of requests.
    """
    newest = dict(known)
    for request in requests:
        newest[request.user] = request.erasure.and_then(newest.get(request.user))
    left = Erased([], dict(rows))
    for record in records:
        (left.dropped if _covered(record, newest) else left.events).append(record)
    stored = {user: _Stored.of(rows.get(user)) for user in newest}
    _answer(left, requests, stored, known, source, now_ms, holdings)
    partitions = {record.key: record.partition for record in left.events}
    for user in newest.keys() & partitions.keys():
        place, state = f"{source}/{partitions[user]}", stored[user].state
        if state is None or not begun_after(state, place, newest[user]):
            left.rows[user] = encode_state(fresh_state(place, newest[user]))
    return left


def _covered(record: Record, newest: Mapping[bytes, Erasure]) -> bool:
    erasure = newest.get(record.key) if record.key else None
    if erasure is None:
        return False
    return erasure.covers(first_appended_ms(record.timestamp_ms, record.headers))


def _answer(
    left: Erased,
    requests: Sequence[Request],
    stored: dict[bytes, _Stored],
    known: Mapping[bytes, Erasure],
    source: str,
    now_ms: int,
    holdings: Holdings,
) -> None:
    """Handle the requests in their order; what is in `stored` goes."""
    dropped = Counter(record.key for record in left.dropped)
    for request in requests:
        user, partition = request.user, request.record.partition
        place = f"{source}/{partition}"
        receipt = _receipt(request, stored[user], place, known.get(user), now_ms, holdings)
        if receipt.outcome != HANDLED_BEFORE:
            receipt = msgspec.structs.replace(receipt, dropped=dropped.pop(user, 0))
            left.removed[user] = partition
            stored[user] = _Stored()
        left.receipts.append((request, receipt))
        left.erasures.append((partition, user, request.erasure))


@dataclass(frozen=True, slots=True)
class _Stored:
    """A row as it was before the batch."""

    size: int | None = None
    """Bytes; None where there is no row."""
    state: UserState | None = None
    """None also for a row that cannot be read."""

    @classmethod
    def of(cls, row: bytes | None) -> _Stored:
        if row is None:
            return cls()
        try:
            return cls(len(row), decode_state(row))
        except ValueError:
            return cls(len(row))


def _receipt(
    request: Request,
    stored: _Stored,
    place: str,
    known: Erasure | None,
    now_ms: int,
    holdings: Holdings,
) -> ErasureReceipt:
    record, state = request.record, stored.state
    outcome = UNKNOWN if stored.size is None else ERASED
    if state is not None and begun_after(state, place, request.erasure):
        outcome = HANDLED_BEFORE
    removed = state if outcome == ERASED else None
    return ErasureReceipt(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        appended_ms=record.timestamp_ms,
        erased_at_ms=now_ms,
        outcome=outcome,
        request_id=request.message.request_id,
        reread=known is not None and known.offset >= record.offset,
        events=None if removed is None else removed.events,
        row_bytes=(stored.size or 0) if outcome == ERASED else 0,
        applied={} if removed is None else removed.offsets,
        remaining=holdings(now_ms),
    )
