"""What the harness tells a running worker: a small file per worker, which the injected code reads.

The worker looks every few milliseconds and never waits for the harness.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

ORDERS_VARIABLE = "FAULT_ORDERS"
"""Environment variable with the path of a worker's file."""
CRASHED = 86
"""Exit code of a worker that crashed where it was told to."""


class Orders(msgspec.Struct, frozen=True):
    """Faults that are in force in one worker."""

    crash: str = ""
    """Name of the point at which to end at once, with `CRASHED`; see `inject.CRASH_POINTS`."""
    stop: str = ""
    """Name of the point at which to stop as if by SIGSTOP; `inject.TAKING_OVER`."""
    slow_s: tuple[float, float] = (0.0, 0.0)
    """Least and most seconds that every batch takes longer to compute."""
    clock_s: float = 0.0
    """Seconds that the worker's clock is wrong."""

    def write(self, path: Path) -> None:
        """Put the orders in place in one step: a reader sees the old ones or the new ones."""
        draft = path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(self))
        draft.replace(path)


def read_orders(path: str) -> Orders:
    """The orders in force; none when there is no file."""
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=Orders)
    except FileNotFoundError:
        return Orders()


def environment(path: Path) -> dict[str, str]:
    """Environment variables that put the injected code into a worker.

    The root of the repository comes along because Python looks for `sitecustomize` before it puts
    the working directory on the path: the worker must come from the same tree as this file.
    """
    here = Path(__file__).parent
    known = os.environ.get("PYTHONPATH")
    parts = [str(here / "injected"), str(here.parents[1]), *([known] if known else [])]
    return {ORDERS_VARIABLE: str(path), "PYTHONPATH": os.pathsep.join(parts)}
