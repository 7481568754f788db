"""Faults of the broker: gone, killed, slow, and an output topic that takes nothing."""

from __future__ import annotations

import os
import signal
import time

from stream_app.streaming.exits import ExitCode
from tests.faults.arena import Arena
from tests.faults.cluster import NORMAL_MESSAGE_BYTES

AWAY_S = 20.0
"""How long after an outage began a worker that was starting may still end because of it."""
NO_BROKER = (ExitCode.NO_BROKER, 1)
"""Codes of a worker that was starting meanwhile: ours before Faust runs, Faust's own after."""


def restart(arena: Arena) -> None:
    """Shut down in order, and back."""
    arena.fleet.excuse(NO_BROKER, "broker away", AWAY_S)
    with arena.progress.excused():
        arena.kafka.restart()
        arena.fleet.tend()


def kill(arena: Arena) -> None:
    """SIGKILL, away for some seconds, back on the same data."""
    arena.fleet.excuse(NO_BROKER, "broker away", AWAY_S)
    with arena.progress.excused():
        arena.kafka.kill()
        arena.pause(arena.dice.uniform(0.2, 3))
        arena.kafka.start()
        arena.fleet.tend()


def slow(arena: Arena) -> None:
    """Runs for a part of the time only: every answer comes late."""
    pid = arena.kafka.pid
    assert pid is not None, "the broker does not run"
    arena.fleet.excuse(NO_BROKER, "broker slow", AWAY_S)
    with arena.progress.excused():
        deadline = time.monotonic() + arena.dice.uniform(3, 6)
        while time.monotonic() < deadline:
            os.kill(pid, signal.SIGSTOP)
            arena.pause(arena.dice.uniform(0.1, 0.6))
            os.kill(pid, signal.SIGCONT)
            arena.pause(0.1)


def full_output(arena: Arena) -> None:
    """`recommendations` refuses every record: workers end, and end again, until it takes them."""
    arena.fleet.excuse([ExitCode.PROCESSING], "output refused", AWAY_S)
    with arena.progress.excused():
        arena.cluster.limit_outputs(64)
        try:
            arena.pause(arena.dice.uniform(3, 6))
        finally:
            arena.cluster.limit_outputs(NORMAL_MESSAGE_BYTES)
