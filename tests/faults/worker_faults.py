"""Faults of workers: ended, stopped, joined by others, slowed down, and with a wrong clock."""

from __future__ import annotations

import signal

import psutil

from tests.faults.arena import Arena
from tests.faults.fleet import Slot
from tests.faults.inject import TAKEN_OVER, TAKING_OVER
from tests.faults.orders import CRASHED, Orders

CRASH_TIMEOUT_S = 30.0


def kill(arena: Arena) -> None:
    """SIGKILL."""
    arena.fleet.kill(arena.victim())


def terminate(arena: Arena) -> None:
    """SIGTERM; the worker must end with 0."""
    arena.terminate(arena.victim())


def stop_short(arena: Arena) -> None:
    """SIGSTOP and SIGCONT within the session."""
    _stop(arena, arena.victim(), arena.dice.uniform(1, 3))


def zombie(arena: Arena) -> None:
    """SIGSTOP until the group has given the partitions away, then SIGCONT.

    Its batches are slow between computing and publishing, so that it nearly always has a batch at
    hand that it then publishes late.
    """
    slot = arena.victim()
    arena.fleet.order(slot, Orders(slow_s=(0.04, 0.06)))
    arena.pause(0.5)
    _stop(arena, slot, arena.dice.uniform(7.5, 11))
    arena.fleet.order(slot, Orders())


def join_leave(arena: Arena) -> None:
    """One worker more, until it works, then one less."""
    slot = arena.fleet.add()
    arena.until(lambda: slot.ready, 20)
    leave(arena, slot)


def storm(arena: Arena) -> None:
    """Joins and leaves faster than the group can settle."""
    slots = []
    for _ in range(3):
        slots.append(arena.fleet.add())
        arena.pause(arena.dice.uniform(0.2, 1.5))
    arena.until(lambda: slots[0].ready, 5)
    for slot in arena.dice.sample(slots, len(slots)):
        leave(arena, slot)
        arena.pause(arena.dice.uniform(0.1, 0.8))


def leave(arena: Arena, slot: Slot) -> None:
    """End a worker for good, orderly or not."""
    slot.keep = False
    if arena.dice.random() < 0.5:
        arena.fleet.kill(slot)
    else:
        arena.terminate(slot)


def slow(arena: Arena) -> None:
    """Every batch takes 5 to 50 ms longer on all workers, and one of them is killed meanwhile."""
    for slot in arena.fleet.running():
        arena.fleet.order(slot, Orders(slow_s=(0.005, 0.05)))
    arena.pause(arena.dice.uniform(1, 3))
    arena.fleet.kill(arena.victim())
    arena.pause(arena.dice.uniform(1, 3))
    for slot in arena.fleet.running():
        arena.fleet.order(slot, Orders())


def clock_jump(arena: Arena) -> None:
    """The clock of a worker jumps by an hour, and back."""
    slot = arena.victim()
    arena.fleet.order(slot, Orders(clock_s=arena.dice.choice((-3600.0, 3600.0))))
    arena.pause(arena.dice.uniform(2, 4))
    arena.fleet.order(slot, Orders())


def crash(arena: Arena, point: str) -> None:
    """End a worker exactly at a point of the steps."""
    slot = arena.victim()
    arena.until(lambda: slot.ready, 20)
    _crash(arena, slot, point)


def crash_in_takeover(arena: Arena) -> None:
    """End a worker when it has read the rows of an assignment, before it goes on with them."""
    slot = arena.victim()
    joined = arena.fleet.add()  # so that there is an assignment
    _crash(arena, slot, TAKEN_OVER)
    leave(arena, joined)


def stop_in_takeover(arena: Arena) -> None:
    """Stopped between its assignment and its first heartbeat, until others have its partitions.

    It goes on to take them over, and learns from the group only seconds later.
    """
    slot = arena.victim()
    joined = arena.fleet.add()  # so that there is an assignment
    arena.fleet.order(slot, Orders(stop=TAKING_OVER))
    reached = arena.until(lambda: _is_stopped(slot), CRASH_TIMEOUT_S)
    arena.fleet.order(slot, Orders())
    assert reached, f"{slot.name} was assigned nothing in {CRASH_TIMEOUT_S:.0f} s"
    slot.stopped = True
    arena.pause(arena.dice.uniform(7.5, 11))
    arena.fleet.signal(slot, signal.SIGCONT)
    leave(arena, joined)


def _is_stopped(slot: Slot) -> bool:
    if slot.process is None:
        return False
    pid = slot.process.process.pid
    return psutil.pid_exists(pid) and psutil.Process(pid).status() == psutil.STATUS_STOPPED


def _crash(arena: Arena, slot: Slot, point: str) -> None:
    """Raises AssertionError when the worker does not come to the point: nothing was tested."""
    arena.fleet.excuse([CRASHED], f"crash: {point}", CRASH_TIMEOUT_S + 5, slot.name)
    arena.fleet.order(slot, Orders(crash=point))
    reached = arena.ended(slot, CRASH_TIMEOUT_S)
    arena.fleet.order(slot, Orders())
    assert reached, f"{slot.name} did not come to {point!r} in {CRASH_TIMEOUT_S:.0f} s"
    arena.fleet.tend()


def _stop(arena: Arena, slot: Slot, seconds: float) -> None:
    arena.fleet.signal(slot, signal.SIGSTOP)
    arena.pause(seconds)
    arena.fleet.signal(slot, signal.SIGCONT)
