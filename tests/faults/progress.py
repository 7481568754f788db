"""Watches from outside that every source partition moves: what a hang is, and when one has healed.

It asks the broker, not the workers: a worker that hangs believes that it is well.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import KafkaException

from tests.faults.cluster import Cluster, Offsets, Partition

LOOK_EVERY_S = 0.25


class Progress(threading.Thread):
    """The last look at the offsets, and since when each partition has not moved."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(name="progress", daemon=True)
        self._cluster = cluster
        self._ending = threading.Event()
        self._excuses = 0
        self._lock = threading.Lock()
        self._stalled: dict[Partition, float] = {}
        self.last: tuple[float, Offsets] | None = None
        """When the look began (seconds, monotonic), and what was seen."""

    def run(self) -> None:
        """Look until `stop`; a broker that does not answer is no news."""
        while not self._ending.wait(LOOK_EVERY_S):
            began = time.monotonic()
            try:
                seen = self._cluster.offsets()
            except (KafkaException, TimeoutError):
                continue
            self._observe(began, seen)

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
