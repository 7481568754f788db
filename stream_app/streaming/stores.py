"""Where the rows of owned partitions are kept on a worker: one protocol, memory the default.

A store is a copy of what the changelog topic holds, never the truth. A row is written to it only
after the broker has acknowledged it, together with the changelog offset up to which the partition
is complete, so a store can be behind the changelog and never ahead of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

MAX_AGE_MS = 12 * 60 * 60 * 1000
"""Half of the time for which the changelog keeps tombstones (`topics.TOMBSTONES_MS`). A copy that
was not used for longer may hold users whose removal is no longer on the topic: it is forgotten."""

Rows = Mapping[bytes, bytes | None]
"""Sealed rows by user id; None removes a row."""


class Position(NamedTuple):
    """How far a partition of the store reflects the changelog."""

    next_offset: int = 0
    """Everything on the changelog below this offset is in the store."""
    newest_epoch: int = 0
    """Highest epoch among those records."""


class RowStore(Protocol):
    """Sealed rows by partition and user. Used from the event loop only."""

    def open(self, partition: int) -> Position:
        """Make a partition available; says from where the changelog has to be read."""

    def close(self, partition: int) -> None:
        """The partition is owned by another worker now: let go of it."""

    def clear(self, partition: int) -> None:
        """Forget all rows of an open partition and its position."""

    def get(self, partition: int, users: Collection[bytes]) -> list[bytes | None]:
        """The rows of users of an open partition, in their order."""

    def write(self, partition: int, rows: Rows, position: Position) -> None:
        """Keep or remove rows and remember the position, both or neither."""

    def count(self, partition: int) -> int:
        """Rows of an open partition; an estimate where counting would be slow."""

    def scan(self, partition: int, size: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """All rows of an open partition in slices of `size`; rows may change between slices."""

    def compact(self, partition: int) -> None:
        """Let go of removed rows. Slow; may run in another thread while the rows are read."""

    def reopen(self, partition: int) -> None:
        """Finish what `compact` began."""

    def drop_unused(self) -> None:
        """Delete what is kept of partitions that are not open and will not be trusted again."""


@dataclass(slots=True)
class _Partition:
    rows: dict[bytes, bytes] = field(default_factory=dict)
    position: Position = field(default_factory=Position)
    at_ms: int = 0


class MemoryRows:
    """Rows in dictionaries: the fastest, as long as all rows of a worker fit into memory."""

    def __init__(self, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clock_ms = clock_ms
        self._partitions: dict[int, _Partition] = {}

    def open(self, partition: int) -> Position:
        """What is still there from the assignment before is kept."""
        kept = self._partitions.get(partition)
        if kept is None or not 0 <= self._clock_ms() - kept.at_ms < MAX_AGE_MS:
            kept = self._partitions[partition] = _Partition()
        return kept.position

    def close(self, partition: int) -> None:
        """Forget the rows."""
        self._partitions.pop(partition, None)

    def clear(self, partition: int) -> None:
        """Forget all rows of an open partition and its position."""
        self._partitions[partition] = _Partition()

    def get(self, partition: int, users: Collection[bytes]) -> list[bytes | None]:
        """The rows of users of an open partition, in their order."""
        rows = self._partitions[partition].rows
        return [rows.get(user) for user in users]

    def write(self, partition: int, rows: Rows, position: Position) -> None:
        """Keep or remove rows and remember the position."""
        kept = self._partitions[partition]
        for user, row in rows.items():
            if row is None:
                kept.rows.pop(user, None)
            else:
                kept.rows[user] = row
        kept.position, kept.at_ms = position, self._clock_ms()

    def count(self, partition: int) -> int:
        """Rows of an open partition."""
        return len(self._partitions[partition].rows)

    def scan(self, partition: int, size: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """All rows that are there at the start, as they are when their slice is reached."""
        rows = self._partitions[partition].rows
        users = list(rows)
        for start in range(0, len(users), size):
            yield [(user, rows[user]) for user in users[start : start + size] if user in rows]

    def compact(self, partition: int) -> None:
        """Nothing is left of a removed row."""

    def reopen(self, partition: int) -> None:
        """Nothing to do."""

    def drop_unused(self) -> None:
        """Nothing is kept of a closed partition."""
