"""Which faults there are, and in which order a run deals them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

from tests.faults import broker_faults, worker_faults
from tests.faults.arena import Arena
from tests.faults.inject import CRASH_POINTS, TAKEN_OVER


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault."""

    name: str
    what: str
    run: Callable[[Arena], None]
    cards: int = 1
    """How often it is in a deck."""


FAULTS = (
    Fault("SIGKILL", "a worker is killed", worker_faults.kill, 3),
    Fault("SIGTERM", "a worker is told to stop: exit code 0", worker_faults.terminate, 2),
    Fault("stop", "SIGSTOP for 1-3 s, then SIGCONT", worker_faults.stop_short),
    Fault("zombie", "SIGSTOP for longer than the session, then SIGCONT", worker_faults.zombie, 3),
    Fault(
        "stopped in takeover",
        "as a zombie, between its assignment and its first heartbeat",
        worker_faults.stop_in_takeover,
    ),
    Fault("join and leave", "one worker more, then less", worker_faults.join_leave, 2),
    Fault("rebalance storm", "three joins and leaves within seconds", worker_faults.storm),
    Fault("slow batches", "5-50 ms more per batch, and a kill meanwhile", worker_faults.slow, 2),
    Fault("clock jump", "a worker's clock jumps by an hour and back", worker_faults.clock_jump),
    Fault("broker restart", "in order, back at once", broker_faults.restart, 2),
    Fault("broker kill", "kill -9, away for 0-3 s more", broker_faults.kill, 2),
    Fault("slow broker", "stopped for most of 3-6 s, in pulses", broker_faults.slow),
    Fault("output refused", "no record fits into recommendations", broker_faults.full_output),
    Fault(
        f"crash: {TAKEN_OVER}",
        "in a rebalance, before the first event",
        worker_faults.crash_in_takeover,
    ),
    *(
        Fault(f"crash: {point}", what, partial(worker_faults.crash, point=point))
        for point, what in CRASH_POINTS.items()
    ),
)

REBALANCES = tuple(fault for fault in FAULTS if fault.name in ("SIGTERM", "join and leave"))
"""What is enough to make stock Faust lose events."""


def deal(faults: tuple[Fault, ...], dice: Random) -> Iterator[Fault]:
    """Faults in random order without end; every kind comes before any comes too often."""
    while True:
        deck = [fault for fault in faults for _ in range(fault.cards)]
        dice.shuffle(deck)
        yield from deck
