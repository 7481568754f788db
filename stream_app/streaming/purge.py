"""Makes what was erased leave the disks: the worker's own store, and the changelog's segments."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from stream_app.streaming.erasures import Erasures
from stream_app.streaming.ownership import UserRows

INTERVAL_S = 3600.0
"""Between sweeps: a store is compacted, and a changelog partition pushed, at most this often."""


class Purge:
    """Sweeps over the owned partitions."""

    def __init__(
        self,
        rows: UserRows,
        erasures: Erasures,
        push_for_ms: int | None,
        remember_ms: int | None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        topics: Collection[str] = (),
    ) -> None:
        """After a request its partition is pushed for `push_for_ms`, until tombstones are gone:
        that of the changelog, and of the other compacted `topics` that hold records of users.

        Requests are remembered for `remember_ms`. None is for ever, for either.
        """
        self._rows = rows
        self._erasures = erasures
        self._push_for_ms = push_for_ms
        self._remember_ms = remember_ms
        self._clock_ms = clock_ms
        self._topics = topics
        self._purged: dict[int, int] = {}

    async def sweep(self) -> int:
        """Look at every partition once; returns how many were pushed."""
        now_ms = self._clock_ms()
        self._rows.drop_unused()
        if self._remember_ms is not None:
            self._erasures.forget_before(now_ms - self._remember_ms)
        pushed = 0
        for partition, newest_ms in self._erasures.newest_ms().items():
            if self._push_for_ms is not None and newest_ms + self._push_for_ms < now_ms:
                continue
            await self._rows.push(partition, self._topics)
            pushed += 1
            added = self._erasures.added[partition]
            if self._purged.get(partition) != added:
                await self._rows.purge(partition)
                self._purged[partition] = added
        return pushed
