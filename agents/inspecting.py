"""The worker as the inspector sees it: rows and events through the worker's own event loop."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from agents.engine import EventType
from schemas import Purchase
from stream_app.inspector import Row, Seen, UnreachableError
from stream_app.releases import Releases
from stream_app.settings import Settings
from stream_app.streaming.erasures import Erasures
from stream_app.streaming.ownership import UserRows
from stream_app.streaming.publisher import Publisher, PublisherStopped
from stream_app.users.codec import decode_state
from stream_app.users.erasure import Erasure, begun_after

Result = TypeVar("Result")

PATIENCE_S = 5.0
"""A loop that is not blocked answers within milliseconds."""
DELIVERY_S = 15.0
"""After this the event is given up: it may arrive yet."""


class InspectedWorker:
    """Implements `stream_app.inspector.Worker`; rows and publisher are touched on `loop()` only."""

    def __init__(
        self,
        settings: Settings,
        releases: Releases,
        engine: Executor,
        rows: UserRows,
        erasures: Erasures,
        publisher: Publisher,
        *,
        sources: Mapping[str, EventType],
        requests: str,
        partition_of: Callable[[bytes], int],
        look: Callable[[], Seen],
        loop: Callable[[], AbstractEventLoop | None],
    ) -> None:
        """`sources` and `requests`, the topic of erasures, are full names; `look` is the worker's
        state, and `loop` its event loop, None while there is none.
        """
        self.app_id = settings.app_id
        self.list_length = settings.list_length
        self.releases = releases
        self.engine = engine
        self.look = look
        self._rows = rows
        self._erasures = erasures
        self._publisher = publisher
        self._topics = {issubclass(kind, Purchase): topic for topic, kind in sources.items()}
        self._requests = requests
        self._partition_of = partition_of
        self._loop = loop

    async def rows(self, users: Sequence[bytes]) -> list[Row]:
        """What is held of users, in their order. Raises `UnreachableError`."""
        silence = "the worker's event loop has not answered"
        found = await self._on_loop(self._read(users), PATIENCE_S, silence)
        return [self._row(user, *held) for user, held in zip(users, found, strict=True)]

    async def publish(self, *, purchase: bool, user: bytes, value: bytes) -> tuple[str, int, int]:
        """Send an event of a user; topic, partition and offset. Raises `UnreachableError`."""
        topic, partition = self._topics[purchase], self._partition_of(user)
        work, silence = self._send(topic, partition, user, value), "Kafka has not taken the event"
        try:
            offset = await self._on_loop(work, DELIVERY_S, silence)
        except (PublisherStopped, KafkaError) as error:
            raise UnreachableError(f"Kafka does not take the event: {error!r}") from None
        return topic, partition, offset

    async def _read(
        self, users: Sequence[bytes]
    ) -> list[tuple[int, bool, bytes | None, Erasure | None]]:
        """Partition, whether it is here, row and erasure of users. On the worker's loop."""
        places = [(self._partition_of(user), user) for user in users]
        here = [place for place in places if place[0] in self._rows.partitions]
        rows, erased = self._rows.read(here), self._erasures.find(here)
        return [
            (partition, partition in self._rows.partitions, rows.get(user), erased.get(user))
            for partition, user in places
        ]

    async def _send(self, topic: str, partition: int, user: bytes, value: bytes) -> int:
        """On the worker's loop."""
        outbox = self._publisher.outbox()
        outbox.add(topic, partition, user, value)
        (delivered,) = await outbox.deliver()
        return delivered.offset

    def _row(
        self, user: bytes, partition: int, here: bool, row: bytes | None, erasure: Erasure | None
    ) -> Row:
        if row is None:
            return Row(partition, here)
        try:
            state = decode_state(row)
        except ValueError as error:
            return Row(partition, here, problem=f"the row cannot be read: {error}")
        if erasure and not begun_after(state, f"{self._requests}/{partition}", erasure):
            return Row(partition, here, problem="the user's erasure is not done yet")
        return Row(partition, here, state)

    async def _on_loop(
        self, work: Coroutine[Any, Any, Result], patience_s: float, silence: str
    ) -> Result:
        """What `work` returns; raises `UnreachableError`, with `silence` when it takes too long."""
        loop = self._loop()
        if loop is None or not loop.is_running():
            work.close()
            raise UnreachableError("the worker has not started yet")
        future = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
        try:
            async with asyncio.timeout(patience_s):
                return await future
        except TimeoutError:
            raise UnreachableError(f"{silence} within {patience_s:.0f} s") from None
