"""Ends a worker that lives without working, from a thread that no blocked event loop can stop.

Each rule names one way in which a worker was seen to hang. The rules are a pure function of
snapshots and a clock, so that every one is tested without waiting.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from stream_app.streaming.exits import ExitCode, die
from stream_app.streaming.probe import Snapshot

log = logging.getLogger(__name__)

LOOP_STALL_S = 15.0
"""A loop that is silent for longer has missed three heartbeats of a default session."""
SHUTDOWN_S = 25.0
"""Below the 30 s that an orchestrator grants between SIGTERM and SIGKILL."""
TICK_S = 1.0


class Heartbeat:
    """When the event loop last ran, written by the loop and read by the watchdog."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.last: float | None = None

    def beat(self) -> None:
        """The loop is alive."""
        self.last = self._clock()


@dataclass(slots=True)
class StuckRules:
    """Decides from successive snapshots whether, and by what, a worker is stuck."""

    start_timeout_s: float
    stuck_timeout_s: float
    began: float
    _progress: dict[tuple[str, int], tuple[int | None, float]] = field(default_factory=dict)
    _recovery: tuple[int, float] | None = None
    _stopping_since: float | None = None

    def verdict(self, seen: Snapshot, beat: float | None, now: float) -> str | None:
        """What is stuck at time `now` (seconds, monotonic), or None."""
        return (
            self._slow_shutdown(seen, now)
            or self._stalled_loop(beat, now)
            or self._failed_start(seen, now)
            or self._stuck_recovery(seen, now)
            or self._stuck_commit(seen, now)
        )

    def _slow_shutdown(self, seen: Snapshot, now: float) -> str | None:
        if not seen.stopping:
            return None
        self._stopping_since = self._stopping_since or now
        if now - self._stopping_since > SHUTDOWN_S:
            return f"shutdown has not ended after {SHUTDOWN_S:.0f} s"
        return None

    def _stalled_loop(self, beat: float | None, now: float) -> str | None:
        if beat is not None and now - beat > LOOP_STALL_S:
            return f"the event loop has not run for {now - beat:.0f} s"
        return None

    def _failed_start(self, seen: Snapshot, now: float) -> str | None:
        if seen.generation == 0 and not seen.stopping and now - self.began > self.start_timeout_s:
            return f"the worker has not joined its group {now - self.began:.0f} s after the start"
        return None

    def _stuck_recovery(self, seen: Snapshot, now: float) -> str | None:
        if seen.ready or seen.stopping or seen.generation == 0:
            self._recovery = None
            return None
        if self._recovery is None or self._recovery[0] != seen.recovery_remaining:
            self._recovery = (seen.recovery_remaining, now)
        if now - self._recovery[1] > 2 * self.stuck_timeout_s:
            return f"recovery makes no progress, {seen.recovery_remaining} records remain"
        return None

    def _stuck_commit(self, seen: Snapshot, now: float) -> str | None:
        if not seen.ready:
            self._progress.clear()
            return None
        for lost in self._progress.keys() - seen.partitions.keys():
            del self._progress[lost]
        for partition, offsets in seen.partitions.items():
            known = self._progress.get(partition)
            if known is None or known[0] != offsets.committed or offsets.lag == 0:
                self._progress[partition] = (offsets.committed, now)
            elif now - known[1] > self.stuck_timeout_s:
                name = f"{partition[0]}/{partition[1]}"
                waiting = f"{offsets.lag} events to read"
                return f"{name} stays committed at {offsets.committed} with {waiting}"
        return None


class Watchdog(threading.Thread):
    """Looks once a second; ends the process when a rule says so while a broker answers."""

    def __init__(
        self,
        look: Callable[[], Snapshot],
        heartbeat: Heartbeat,
        rules: StuckRules,
        bootstrap_servers: str,
        observe: Callable[[Snapshot], None] = lambda seen: None,
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._look = look
        self._heartbeat = heartbeat
        self._rules = rules
        self._servers = bootstrap_servers
        self._observe = observe

    def run(self) -> None:
        """Never returns; the thread is a daemon."""
        seen = Snapshot()
        while True:
            try:
                seen = self._look()
                self._observe(seen)
            except Exception:  # the watch must go on: the rules see the last look
                log.exception("could not look at the worker")
            verdict = self._rules.verdict(seen, self._heartbeat.last, time.monotonic())
            # Without a broker nothing can progress and a restart helps nobody.
            if verdict and (seen.stopping or broker_answers(self._servers)):
                die(ExitCode.STUCK, f"watchdog: {verdict}")
            time.sleep(TICK_S)


def broker_answers(bootstrap_servers: str, timeout_s: float = 2.0) -> bool:
    """Whether any of the servers accepts a connection."""
    for server in bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=timeout_s):
                return True
        except (OSError, ValueError):
            continue
    return False
