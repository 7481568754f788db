"""Folds records of the changelog into rows: which of several rows of a user is the valid one.

The order is total: the higher epoch, and within an epoch the later on the topic (see `rows`). It is
not the order of the topic alone, since a worker that lost its partition may still write to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from stream_app.streaming.rows import NO_EPOCH, removal_epoch, stamp_of


class ChangelogRecord(Protocol):
    """What is used of a consumed record."""

    @property
    def offset(self) -> int:
        """Where it stands."""

    @property
    def key(self) -> bytes | None:
        """User id."""

    @property
    def value(self) -> bytes | None:
        """Sealed row; None removes it."""

    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]:
        """A tombstone's epoch."""


@dataclass(slots=True)
class Merge:
    """The fold over one partition, from some offset on."""

    get: Callable[[Collection[bytes]], list[bytes | None]]
    """The rows known so far."""
    floor: int = NO_EPOCH
    """A row below this epoch is late whatever is known: the owner's own, once it has begun to
    write, or the newest that a kept copy has seen, which does not tell whom it has removed."""
    newest_epoch: int = 0
    late: int = 0
    """Rows that were refused: written by an owner that had lost the partition, or damaged."""
    stale: set[bytes] = field(default_factory=set)
    """Users whose last record on the topic is not the valid one. Compaction keeps the last, so
    the valid row has to be written again."""
    first_late: int | None = None
    """Offset of the first record that was refused."""
    _removed: dict[bytes, int] = field(default_factory=dict)

    @property
    def unmended(self) -> int | None:
        """Where a fold has to begin again until stale rows are written; None if there are none."""
        return self.first_late if self.stale else None

    def fold(self, records: Iterable[ChangelogRecord]) -> dict[bytes, bytes | None]:
        """The rows that change; None for those that are removed."""
        keyed = [(record.key, record) for record in records if record.key is not None]
        users = list({key for key, _ in keyed})
        known = dict(zip(users, self.get(users), strict=True))
        changed: dict[bytes, bytes | None] = {}
        for user, record in keyed:
            epoch = _epoch(record)
            self.newest_epoch = max(self.newest_epoch, epoch)
            if epoch < self._least(user, known[user]):
                self.late += 1
                if self.first_late is None:
                    self.first_late = record.offset
                self.stale.add(user)
                continue
            known[user] = changed[user] = record.value
            self.stale.discard(user)
            if record.value is None:
                self._removed[user] = epoch
            else:
                self._removed.pop(user, None)
        return changed

    def _least(self, user: bytes, row: bytes | None) -> int:
        """The lowest epoch that replaces what is known of a user."""
        known = self._removed.get(user, NO_EPOCH) if row is None else _row_epoch(row)
        return max(self.floor, known)


def _epoch(record: ChangelogRecord) -> int:
    if record.value is None:
        return removal_epoch(record.headers)
    return _row_epoch(record.value)


def _row_epoch(row: bytes) -> int:
    """The epoch; a damaged row is older than every other, so that it never replaces one."""
    try:
        return stamp_of(row).epoch
    except ValueError:
        return NO_EPOCH
