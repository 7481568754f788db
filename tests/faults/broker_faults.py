"""Faults of the broker: gone, killed, slow, and an output topic that takes nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stream_app.streaming.exits import ExitCode
from tests.faults.arena import Arena
from tests.faults.cluster import NORMAL_MESSAGE_BYTES

AFTER_S = 10.0
"""How long after an outage a worker that was starting may still end because of it."""
NO_BROKER = (ExitCode.NO_BROKER, 1)
"""Codes of a worker that was starting meanwhile: ours before Faust runs, Faust's own after."""


def restart(arena: Arena) -> None:
    """Shut down in order, and back."""
    with _no_progress(arena, NO_BROKER, "broker away"):
        arena.kafka.restart()
        arena.fleet.tend()


def kill(arena: Arena) -> None:
    """SIGKILL, away for some seconds, back on the same data."""
    with _no_progress(arena, NO_BROKER, "broker away"):
        arena.kafka.kill()
        arena.pause(arena.dice.uniform(0.2, 3))
        arena.kafka.start()
        arena.fleet.tend()


def slow(arena: Arena) -> None:
    """Runs for a part of the time only: every answer comes late."""
    pid = arena.kafka.pid
    assert pid is not None, "the broker does not run"
    with _no_progress(arena, NO_BROKER, "broker slow"):
        deadline = time.monotonic() + arena.dice.uniform(3, 6)
        while time.monotonic() < deadline:
            os.kill(pid, signal.SIGSTOP)
            arena.pause(arena.dice.uniform(0.1, 0.6))
            os.kill(pid, signal.SIGCONT)
            arena.pause(0.1)


def full_output(arena: Arena) -> None:
    """`recommendations` refuses every record: workers end, and end again, until it takes them."""
    with _no_progress(arena, [ExitCode.PROCESSING], "output refused"):
        arena.cluster.limit_outputs(64)
        try:
            arena.pause(arena.dice.uniform(3, 6))
        finally:
            arena.cluster.limit_outputs(NORMAL_MESSAGE_BYTES)


@contextmanager
def _no_progress(arena: Arena, codes: Sequence[int], why: str) -> Iterator[None]:
    """While nobody can go on, for a known reason."""
    with arena.progress.excused(), arena.fleet.excused(codes, why, AFTER_S):
        yield
