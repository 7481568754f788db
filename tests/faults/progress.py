"""Watches from outside that every source partition moves: what a hang is, and when one has healed.

It asks the broker, not the workers: a worker that hangs believes that it is well.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiokafka.errors import KafkaError

from stream_app.settings import Settings
from tests.faults.offsets import OffsetReader, Offsets, Partition, offset_reader

LOOK_EVERY_S = 0.25
ANSWER_S = 5.0
"""A look that takes longer says nothing about now."""


class Progress(threading.Thread):
    """The last look at the offsets, and since when each partition has not moved."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        super().__init__(name="progress", daemon=True)
        self._settings = settings
        self._partitions = partitions
        self._ending = threading.Event()
        self._excuses = 0
        self._lock = threading.Lock()
        self._stalled: dict[Partition, float] = {}
        self.last: tuple[float, Offsets] | None = None
        """When the look began (seconds, monotonic), and what was seen."""

    def run(self) -> None:
        """Look until `stop`; a broker that does not answer is no news."""
        asyncio.run(self._watch())

    def stop(self) -> None:
        """End the watch."""
        self._ending.set()
        self.join()

    @contextmanager
    def excused(self) -> Iterator[None]:
        """While the fault inside stops everybody by itself, standing still is no hang."""
        with self._lock:
            self._excuses += 1
        try:
            yield
        finally:
            with self._lock:
                self._excuses -= 1
                self._stalled.clear()

    def stalled(self, longer_than_s: float) -> dict[Partition, float]:
        """Partitions with records to read and a commit that has not moved: since how many s."""
        now = time.monotonic()
        with self._lock:
            return {at: now - t for at, t in self._stalled.items() if now - t > longer_than_s}

    def forget(self) -> None:
        """Count anew, after something was done about the stalled ones."""
        with self._lock:
            self._stalled.clear()

    def offsets_after(self, moment: float) -> Offsets | None:
        """What was seen in a look that began after `moment` (monotonic), or None yet."""
        last = self.last
        return last[1] if last is not None and last[0] >= moment else None

    def reached(self, ends: Mapping[Partition, int]) -> bool:
        """Whether everything before `ends` is committed, as of the last look."""
        return self.last is not None and self.last[1].reached(ends)

    async def _watch(self) -> None:
        while not self._ending.is_set():
            try:
                async with offset_reader(self._settings, self._partitions) as reader:
                    await self._follow(reader)
            except (KafkaError, TimeoutError, OSError):  # connect again
                await asyncio.sleep(LOOK_EVERY_S)

    async def _follow(self, reader: OffsetReader) -> None:
        while not self._ending.is_set():
            began = time.monotonic()
            seen = await asyncio.wait_for(reader.read(), ANSWER_S)
            if seen is not None:
                self._observe(began, seen)
            await asyncio.sleep(LOOK_EVERY_S)

    def _observe(self, now: float, seen: Offsets) -> None:
        with self._lock:
            before = self.last[1].committed if self.last is not None else {}
            for at, end in seen.ends.items():
                committed = seen.committed[at]
                moved = committed != before.get(at) or committed >= end
                if moved or self._excuses:
                    self._stalled.pop(at, None)
                else:
                    self._stalled.setdefault(at, now)
            self.last = (now, seen)
