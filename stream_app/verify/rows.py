"""The changelog of one partition folded to the valid row of every user, and its health.

Of two records of a user the one of the higher epoch is valid, and of one epoch the later on the
topic (`streaming.rows`). What has no epoch, a damaged row or a tombstone without the header, is
older than everything that has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from stream_app.streaming.ownership import NOBODY
from stream_app.streaming.rows import NO_EPOCH, removal_epoch, stamp_of


class Record(Protocol):
    """What the checker uses of a consumed record."""

    @property
    def offset(self) -> int:
        """Position on its partition."""

    @property
    def timestamp(self) -> int:
        """Unix ms."""

    @property
    def timestamp_type(self) -> int:
        """0: set by the producer; 1: when it was appended."""

    @property
    def key(self) -> bytes | None:
        """As on the topic."""

    @property
    def value(self) -> bytes | None:
        """As on the topic."""

    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]:
        """As on the topic."""


@dataclass(slots=True)
class Valid:
    """What the changelog says about one user so far."""

    epoch: int
    offset: int
    row: bytes | None
    """Sealed; None after a tombstone."""
    written_ms: int
    """Timestamp of the record."""
    removed_ms: int | None = None
    """Time of a tombstone before the row: what was applied before it is gone, as it should be."""
    last_is_late: bool = False
    last_is_damaged: bool = False


@dataclass(slots=True)
class Rows:
    """The fold; feed it the records of one partition in their order."""

    by_user: dict[bytes, Valid] = field(default_factory=dict)
    records: int = 0
    tombstones: int = 0
    late: int = 0
    """Written by a former owner after a later owner had written."""
    damaged: int = 0
    keyless: int = 0

    def add(self, records: Iterable[Record]) -> None:
        """Fold records in."""
        for record in records:
            self._add(record)

    def _add(self, record: Record) -> None:
        self.records += 1
        user = record.key
        if user is None:
            self.keyless += 1
            return
        if user == NOBODY:
            return
        epoch, damaged = _epoch(record)
        self.damaged += damaged
        known = self.by_user.get(user)
        if known is not None and epoch < known.epoch:
            known.last_is_late, known.last_is_damaged = not damaged, damaged
            self.late += not damaged
            return
        self.tombstones += record.value is None
        removed_ms = None
        if known is not None:
            removed_ms = known.written_ms if known.row is None else known.removed_ms
        self.by_user[user] = Valid(
            epoch,
            record.offset,
            record.value,
            record.timestamp,
            removed_ms,
            last_is_damaged=damaged,
        )

    def late_last(self) -> list[tuple[bytes, Valid]]:
        """Users whose last record is a late one: compaction would keep it and drop the valid."""
        return [(user, valid) for user, valid in self.by_user.items() if valid.last_is_late]

    def damaged_last(self) -> list[tuple[bytes, Valid]]:
        """Users whose last record cannot be read."""
        return [(user, valid) for user, valid in self.by_user.items() if valid.last_is_damaged]


def _epoch(record: Record) -> tuple[int, bool]:
    """Epoch of a record, and whether it is damaged."""
    if record.value is None:
        return removal_epoch(record.headers), False
    try:
        return stamp_of(record.value).epoch, False
    except ValueError:
        return NO_EPOCH, True
