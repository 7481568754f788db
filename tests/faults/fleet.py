"""The workers of a run: started again when they end, and every exit explained or reported."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

from stream_app.demo.session import free_port
from stream_app.settings import Settings
from tests.faults.orders import Orders, environment
from tests.integration.worker import WorkerProcess

TERM_S = 30.0
"""What an orchestrator grants between SIGTERM and SIGKILL."""
LOG_LINES = 80
"""Of a worker that ended without explanation: its shutdown alone writes some twenty."""
RESTART_S = 0.3
"""An orchestrator does not start a failing worker in a tight loop."""


@dataclass(frozen=True, slots=True)
class Exit:
    """One end of a worker."""

    at_s: float
    """Seconds since the start of the run."""
    worker: str
    code: int
    """Exit code, or minus the signal."""
    why: str
    """The fault that explains it; empty when nothing does."""
    log: str
    """Last lines of its log when nothing explains it."""


@dataclass(frozen=True, slots=True)
class Excuse:
    """An exit code that a fault explains, of one worker or (empty name) of all."""

    worker: str
    codes: tuple[int, ...]
    why: str
    until: float
    """Monotonic seconds."""


@dataclass(slots=True)
class Slot:
    """The place of one worker, whatever process is in it."""

    name: str
    orders: Path
    process: WorkerProcess | None = None
    ready: bool = False
    stopped: bool = False
    """By SIGSTOP."""
    keep: bool = True
    """Whether it is started again when it ends."""
    start_at: float = 0.0
    starts: int = 0


@dataclass(slots=True)
class Fleet:
    """All workers. `tend` is to be called often, from one thread."""

    settings: Settings
    directory: Path
    module: Sequence[str] = ("stream_app", "worker")
    began: float = field(default_factory=time.monotonic)
    exits: list[Exit] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    _excuses: list[Excuse] = field(default_factory=list)

    def add(self) -> Slot:
        """One more worker."""
        name = f"worker{len(self.slots)}"
        slot = Slot(name, self.directory / f"{name}.orders")
        self.slots.append(slot)
        self._start(slot)
        return slot

    def excuse(self, codes: Sequence[int], why: str, for_s: float, worker: str = "") -> None:
        """Explain exits with these codes from now on, for a while."""
        self._excuses.append(Excuse(worker, tuple(codes), why, time.monotonic() + for_s))

    @contextmanager
    def excused(self, codes: Sequence[int], why: str, after_s: float) -> Iterator[None]:
        """Explain exits of all workers inside, and for some seconds after."""
        excuse = Excuse("", tuple(codes), why, inf)
        self._excuses.append(excuse)
        try:
            yield
        finally:
            self._excuses.remove(excuse)
            self.excuse(codes, why, after_s)

    def tend(self) -> None:
        """Note who has ended and who has become ready; start again who is due."""
        for slot in self.slots:
            process = slot.process
            if process is None:
                if slot.keep and time.monotonic() >= slot.start_at:
                    self._start(slot)
            elif process.process.poll() is not None:
                self._ended(slot, process)
            elif not slot.ready and not slot.stopped:
                slot.ready = process.get("/health/ready")[0] == 200

    def kill(self, slot: Slot) -> None:
        """End a worker with SIGKILL."""
        if slot.process is not None:
            self.excuse([-signal.SIGKILL], "SIGKILL", TERM_S, slot.name)
            slot.process.kill()
            slot.stopped = False
            self.tend()

    def terminate(self, slot: Slot) -> None:
        """Send SIGTERM. A worker that has not installed its handlers yet dies of the signal."""
        if slot.process is not None:
            codes = (0,) if slot.ready else (0, -signal.SIGTERM)
            self.excuse(codes, "SIGTERM", TERM_S, slot.name)
            slot.process.process.send_signal(signal.SIGTERM)

    def signal(self, slot: Slot, number: signal.Signals) -> None:
        """Stop or continue a worker."""
        if slot.process is not None:
            slot.process.process.send_signal(number)
            slot.stopped = number == signal.SIGSTOP

    def order(self, slot: Slot, orders: Orders) -> None:
        """Put faults into force in a worker."""
        orders.write(slot.orders)

    def running(self) -> list[Slot]:
        """The workers that are there."""
        return [slot for slot in self.slots if slot.process is not None]

    def kill_all(self) -> None:
        """Leave nothing behind."""
        for slot in self.slots:
            slot.keep = False
            if slot.process is not None:
                slot.process.kill()

    def _start(self, slot: Slot) -> None:
        Orders().write(slot.orders)
        slot.starts += 1
        slot.ready = slot.stopped = False
        slot.process = WorkerProcess(
            replace(self.settings, metrics_port=free_port()),
            self.directory / f"{slot.name}-{slot.starts}.log",
            environment(slot.orders),
            self.module,
        )

    def _ended(self, slot: Slot, process: WorkerProcess) -> None:
        code = process.process.returncode
        why = self._explanation(slot, code)
        log = "" if why else "\n".join(process.output.splitlines()[-LOG_LINES:])
        self.exits.append(Exit(time.monotonic() - self.began, slot.name, code, why, log))
        slot.process, slot.ready = None, False
        slot.start_at = time.monotonic() + RESTART_S

    def _explanation(self, slot: Slot, code: int) -> str:
        now = time.monotonic()
        self._excuses = [excuse for excuse in self._excuses if excuse.until > now]
        for excuse in reversed(self._excuses):
            if excuse.worker in ("", slot.name) and code in excuse.codes:
                return excuse.why
        return ""
