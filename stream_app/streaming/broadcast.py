"""Reads whole topics on every worker: from the start, then whatever comes; no group, no commits.

What is read is handed on in the order of each partition, and at least once. The topics are read one
after the other the first time, so that a later one may speak of what an earlier one has said. While
no broker answers it waits; a connection that brings nothing although there is something to read is
made anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition

from stream_app.degradations import Degradation, degraded
from stream_app.observability.logging import at
from stream_app.streaming.exits import ExitCode, die

log = logging.getLogger(__name__)

FETCH_BYTES = 4 * 1024 * 1024
FETCH_WAIT_MS = 100
"""A quiet topic costs ten requests a second; the first record ends the wait."""
MAX_RECORDS = 500
"""Handed on together: some milliseconds of work, between which other work gets its turn."""
POLL_MS = 1_000
LOOK_S = 5.0
"""How often the ends of the topics are asked for: a hang shows then, and a new partition."""
STALLED_S = 20.0
"""With something to read and nothing read for so long, the connection is made anew."""
ANSWER_S = 10.0
CONNECT_S = 60.0
RETRY_S = 0.5

Take = Callable[[list[Any]], Awaitable[None]]


class _Anew(Exception):  # noqa: N818 - it is no error
    """The connection has to be made anew."""


class Broadcast:
    """Start it on the worker's loop; used from that loop, but for what says otherwise."""

    def __init__(
        self, client_options: Mapping[str, Any], partitions: Mapping[str, int], take: Take
    ) -> None:
        """`partitions` are the topics, in the order in which they are read, and their counts.

        `take` is awaited with records; whatever it raises ends the process.
        """
        self._client_options = client_options
        self._partitions = dict(partitions)
        self._take = take
        self._next: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self.newest_ms: dict[str, int] = {}
        """When the newest record read of a topic was appended, Unix ms. From any thread."""
        self._read_at = 0.0
        self._caught_up = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._troubled = False

    @property
    def remaining(self) -> int:
        """Records that are there and not read yet, as far as is known. From any thread."""
        return sum(max(0, end - self._next.get(tp, 0)) for tp, end in list(self._ends.items()))

    async def caught_up(self) -> None:
        """Start, unless started, and return once all that was there then has been read."""
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())
        await self._caught_up.wait()

    async def stop(self) -> None:
        """Stop reading."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._follow()
                except _Anew:
                    pass
                except TopicAuthorizationFailedError:
                    raise
                except (KafkaError, TimeoutError) as error:
                    degraded(Degradation.BROKER_RETRY)
                    if not self._troubled:
                        log.warning("reading %s: %r; trying until it works",
                                    ", ".join(self._partitions), error)  # fmt: skip
                    self._troubled = True
                await asyncio.sleep(RETRY_S)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            die(ExitCode.PROCESSING, f"{', '.join(self._partitions)} cannot be read", error)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._client_options,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # what is deleted while it is read is passed over
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            async with asyncio.timeout(CONNECT_S):
                await consumer.start()
            places = [
                TopicPartition(topic, number)
                for topic, count in self._partitions.items()
                for number in range(count)
            ]
            consumer.assign(places)
            await self._seek(consumer, places)
            self._read_at = asyncio.get_running_loop().time()
            for topic in self._partitions:
                await self._to_end(consumer, [tp for tp in places if tp.topic == topic])
            consumer.resume(*places)
            if self._troubled:
                log.info("reading %s again", ", ".join(self._partitions))
            self._troubled = False
            self._caught_up.set()
            while True:
                await self._poll(consumer, LOOK_S)
                await self._look(consumer, places)
        finally:
            await consumer.stop()

    async def _seek(self, consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> None:
        async with asyncio.timeout(CONNECT_S):  # of a topic that is gone it would ask for ever
            begins = await consumer.beginning_offsets(places)
            self._ends = await consumer.end_offsets(places)
        for tp in places:
            known = self._next.get(tp, 0)
            if known > self._ends[tp]:
                degraded(Degradation.TOPIC_SHORTENED)
                log.error("%s/%d is shorter than it was: reading all of it again",
                          tp.topic, tp.partition, extra=at(tp.topic, tp.partition))  # fmt: skip
                known = 0
            self._next[tp] = max(known, begins[tp])
            consumer.seek(tp, self._next[tp])

    async def _to_end(self, consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> None:
        """Read these partitions, and no others, to the ends that were found."""
        consumer.pause(*(consumer.assignment() - set(places)))
        consumer.resume(*places)
        while any(self._next[tp] < self._ends[tp] for tp in places):
            await self._poll(consumer, POLL_MS / 1000)
            for tp in places:  # compaction leaves holes, also at the end
                self._next[tp] = max(self._next[tp], await consumer.position(tp))
            self._check_moving()

    async def _poll(self, consumer: AIOKafkaConsumer, within_s: float) -> None:
        """Hand on what arrives within so many seconds; before all is read, what arrives first."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while (left := until - loop.time()) > 0:
            fetched = await consumer.getmany(
                timeout_ms=min(POLL_MS, int(1000 * left) + 1), max_records=MAX_RECORDS
            )
            records = [record for some in fetched.values() for record in some]
            if records:
                await self._take(records)
                self._read_at = loop.time()
            for tp, some in fetched.items():
                self._next[tp] = some[-1].offset + 1
                newest_ms = self.newest_ms.get(tp.topic, 0)
                self.newest_ms[tp.topic] = max(newest_ms, some[-1].timestamp)
            if not self._caught_up.is_set():
                return

    async def _look(self, consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> None:
        async with asyncio.timeout(ANSWER_S):
            self._ends = await consumer.end_offsets(places)
            for tp in places:
                self._next[tp] = max(self._next[tp], await consumer.position(tp))
        for topic, count in self._partitions.items():
            known = len(consumer.partitions_for_topic(topic) or ())
            if known > count:
                self._partitions[topic] = known
                raise _Anew
        if not self.remaining:
            self._read_at = asyncio.get_running_loop().time()
        self._check_moving()

    def _check_moving(self) -> None:
        if self.remaining and asyncio.get_running_loop().time() - self._read_at > STALLED_S:
            degraded(Degradation.BROKER_RETRY)
            log.warning("%s: %d records to read and none came for %.0f s: connecting anew",
                        ", ".join(self._partitions), self.remaining, STALLED_S)  # fmt: skip
            raise _Anew
