"""What the inspector asks of the worker that it is built into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple, Protocol

from stream_app.releases import Releases
from stream_app.users.state import UserState


class UnreachableError(Exception):
    """The worker does not answer, or Kafka does not; the text says which."""


class Row(NamedTuple):
    """What is held of a user."""

    partition: int
    here: bool
    """Whether the partition is this worker's, and its rows are complete."""
    state: UserState | None = None
    """None for a user of whom nothing is held, or nothing that may be shown."""
    problem: str = ""
    """Why a row that is there cannot be shown."""


class Lag(Protocol):
    """Progress in one partition."""

    @property
    def lag(self) -> int:
        """Events that are not committed yet."""


class Seen(Protocol):
    """One look at the worker."""

    @property
    def ready(self) -> bool:
        """Whether events are consumed."""

    @property
    def state(self) -> str:
        """The same in a few words, for people."""

    @property
    def partitions(self) -> Mapping[tuple[str, int], Lag]:
        """The assigned source partitions, by topic and number."""


class Worker(Protocol):
    """Called from the inspector's own event loop, which nothing of this may block."""

    app_id: str
    list_length: int
    releases: Releases
    """Used on the thread of `engine` only."""
    engine: Executor
    """One thread, on which batches are computed."""

    def look(self) -> Seen:
        """The consumer, at once, whatever the worker's loops do."""

    async def rows(self, users: Sequence[bytes]) -> list[Row]:
        """What is held of users, in their order. Raises `UnreachableError`."""

    async def publish(self, *, purchase: bool, user: bytes, value: bytes) -> tuple[str, int, int]:
        """Send an event of a user as their producer would; topic, partition and offset.

        Returns when the brokers have it. Raises `UnreachableError`.
        """
