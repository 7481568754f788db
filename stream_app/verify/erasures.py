"""The erasures of one partition number: which events are gone, and which rows should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from schemas import ErasureReceipt, RejectedMessage, decode_erasure, decode_output
from stream_app.users.erasure import Erasure, begun_after, first_appended_ms
from stream_app.users.state import UserState
from stream_app.verify.report import Finding, Kind
from stream_app.verify.rows import Record


@dataclass(slots=True)
class ErasureLog:
    """Requests and receipts; the receipts after the requests."""

    source: str = ""
    """`topic/partition` of the requests."""
    commit: int | None = None
    end: int = 0
    newest: dict[bytes, Erasure] = field(default_factory=dict)
    """By user."""
    _users: dict[int, bytes] = field(default_factory=dict)
    _removed: dict[tuple[bytes, str], int] = field(default_factory=dict)

    def add_request(self, record: Record) -> None:
        """What is no valid request is a dead letter, and erases nobody."""
        try:
            user = decode_erasure(record.value, key=record.key).user_id.encode()
        except RejectedMessage:
            return
        self._users[record.offset] = user
        erasure = Erasure(record.timestamp, record.offset)
        self.newest[user] = erasure.and_then(self.newest.get(user))

    def add_receipt(self, record: Record) -> None:
        """A receipt names its request, and how far the removed row had come."""
        try:
            receipt = decode_output(ErasureReceipt, record.value)
        except RejectedMessage:
            return
        user = self._users.get(receipt.offset)
        if user is None or f"{receipt.topic}/{receipt.partition}" != self.source:
            return
        for source, offset in receipt.applied.items():
            key = (user, source)
            self._removed[key] = max(offset, self._removed.get(key, -1))

    def covers(self, record: Record) -> bool:
        """Whether an event was appended before the erasure of its user."""
        erasure = self.newest.get(record.key) if record.key else None
        return erasure is not None and erasure.covers(
            first_appended_ms(record.timestamp, record.headers)
        )

    def may_have_removed(self, user: bytes | None, source: str, offset: int) -> bool:
        """Whether an event that was appended after the request may be gone with the row.

        It is, if it was applied before the request was read and not read again.
        """
        return user is not None and offset <= self._removed.get((user, source), -1)

    def pending(self, user: bytes) -> bool:
        """Whether a request of the user may not have been handled yet."""
        erasure = self.newest.get(user)
        return erasure is not None and erasure.offset >= (self.commit or 0)

    def findings(self, user: bytes, row: UserState, place: str) -> Iterator[Finding]:
        """A row that should be gone."""
        erasure = self.newest.get(user)
        if erasure is not None and not begun_after(row, self.source, erasure):
            detail = f"a row from before the erasure {self.source}@{erasure.offset}"
            yield Finding(Kind.NOT_ERASED, detail, user, place)

    def without_mark(self, row: UserState) -> UserState:
        """The row as its events make it."""
        if self.source not in row.offsets:
            return row
        offsets = {name: at for name, at in row.offsets.items() if name != self.source}
        return msgspec.structs.replace(row, offsets=offsets)
