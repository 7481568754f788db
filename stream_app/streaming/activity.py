"""What an agent is doing, written by its task and read by the watchdog's thread."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Stage(StrEnum):
    """Where an agent stands; the values are for people."""

    ABSENT = "has not started"
    WAITING = "waits for events"
    ENGINE = "computes a batch"
    PUBLISH = "waits until the group has confirmed this worker and the broker has its batch"
    ENDED = "has ended"


class Standing(NamedTuple):
    """A stage, and how many were entered before: two batches in one stage differ."""

    stage: Stage = Stage.ABSENT
    turn: int = 0


class Activity:
    """The stage of one agent."""

    def __init__(self) -> None:
        self.standing = Standing()
        """Replaced as a whole, so that another thread never sees half of it."""

    def enter(self, stage: Stage) -> None:
        """The agent goes on with `stage`."""
        self.standing = Standing(stage, self.standing.turn + 1)
