"""Removes the rows of users who have been silent for longer than the retention.

Time is the stream's: the newest append time of an event that this worker has seen, so that nothing
expires while nothing happens, and never ahead of the local clock. Both would have to be wrong to
remove an active user.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from stream_app.streaming.ownership import UserRows, is_silent

SLICE_ROWS = 500
"""Rows that are looked at before events get their turn again."""
HOURS_MS = 3_600_000


class StreamClock:
    """The time of the stream by partition, in Unix ms."""

    def __init__(self, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clock_ms = clock_ms
        self._now_ms: dict[int, int] = {}

    def now_ms(self, partition: int) -> int:
        """The time in a partition, which may lag behind others; 0 before its first event."""
        return self._now_ms.get(partition, 0)

    def observe(self, appended: Iterable[tuple[int, int]]) -> int:
        """Events were appended: partition and time of each. Returns the newest time now."""
        local_ms = self._clock_ms()
        for partition, at_ms in appended:
            self._now_ms[partition] = max(self.now_ms(partition), min(at_ms, local_ms))
        return max(self._now_ms.values(), default=0)


class Expiry:
    """Sweeps over the rows of the owned partitions."""

    def __init__(self, rows: UserRows, clock: StreamClock, retention_ms: int) -> None:
        self._rows = rows
        self._clock = clock
        self._retention_ms = retention_ms

    @property
    def interval_s(self) -> float:
        """Seconds between sweeps: users stay at most a twentieth of the retention longer."""
        return min(HOURS_MS, self._retention_ms / 20) / 1000

    async def sweep(self) -> int:
        """Look at every row once; returns how many users were removed."""
        async with self._rows.sweeping:
            return await self._sweep()

    async def _sweep(self) -> int:
        removed = 0
        for partition in list(self._rows.partitions):
            before_ms = self._clock.now_ms(partition) - self._retention_ms
            if before_ms <= 0 or partition not in self._rows.partitions:
                continue
            for rows in self._rows.scan(partition, SLICE_ROWS):
                silent = [user for user, row in rows if is_silent(row, before_ms)]
                if silent:
                    removed += await self._rows.expire(partition, silent, before_ms)
                await asyncio.sleep(0)
                if partition not in self._rows.partitions:
                    break  # it moved away, and with it the store that is scanned
        return removed
