"""What a fault acts upon: broker, topics, workers, and the watch over all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from stream_app.broker import EmbeddedKafka
from tests.faults.cluster import Cluster
from tests.faults.fleet import Fleet, Slot
from tests.faults.progress import Progress

TEND_EVERY_S = 0.1
HANG_S = 90.0
"""Longer than any rule of the watchdog waits (60 s): after this, nobody has noticed."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Something stood still for too long and nobody ended it."""

    at_s: float
    what: str
    workers: dict[str, str]
    """What each worker said of itself."""


@dataclass(slots=True)
class Arena:
    """One run in progress."""

    kafka: EmbeddedKafka
    cluster: Cluster
    fleet: Fleet
    progress: Progress
    dice: Random
    hangs: list[Hang] = field(default_factory=list)
    hang_s: float = HANG_S

    def tend(self) -> None:
        """Restart workers that have ended, and look for hangs."""
        self.fleet.tend()
        stalled = self.progress.stalled(self.hang_s)
        if stalled:
            self._hang(", ".join(f"{at[0]}/{at[1]} {t:.0f} s" for at, t in stalled.items()))
            self.progress.forget()
            for slot in self.fleet.running():
                self.fleet.kill(slot)

    def pause(self, seconds: float) -> None:
        """Let the run go on for as long as a fault lasts."""
        self.until(lambda: False, seconds)

    def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Let the run go on until something holds; whether it does."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.tend()
            time.sleep(TEND_EVERY_S)
        return True

    def victim(self) -> Slot:
        """A worker to do something to: one that is ready, if any is."""
        running = self.fleet.running()
        if not running:
            self.until(lambda: bool(self.fleet.running()), 10)
            running = self.fleet.running()
        return self.dice.choice([slot for slot in running if slot.ready] or running)

    def ended(self, slot: Slot, timeout_s: float) -> bool:
        """Wait until the process that is in a slot now has ended; whether it did."""
        process = slot.process
        return process is None or self.until(lambda: process.process.poll() is not None, timeout_s)

    def terminate(self, slot: Slot) -> None:
        """SIGTERM, and a hang when the worker does not end in the time that it is given."""
        self.fleet.terminate(slot)
        if not self.ended(slot, 30):
            self._hang(f"{slot.name} has not ended 30 s after SIGTERM")
            self.fleet.kill(slot)
        self.fleet.tend()

    def _hang(self, what: str) -> None:
        said = {
            slot.name: " | ".join(
                (
                    slot.process.get("/health/ready")[1].strip(),
                    *slot.process.output.splitlines()[-12:],
                )
            )
            for slot in self.fleet.running()
            if slot.process is not None
        }
        self.hangs.append(Hang(time.monotonic() - self.fleet.began, what, said))
