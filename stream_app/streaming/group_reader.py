"""Reads a compacted topic as a consumer group of its own, and commits what is done.

The main job's consumer takes a hole in the offsets for a loss and ends the process; a compacted
topic is full of holes. And whoever writes a whole catalogue must not stand in the way of clicks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import TopicPartition

from stream_app.degradations import Degradation, degraded

log = logging.getLogger(__name__)

POLL_MS = 500
FETCH_WAIT_MS = 50
RETRY_S = 0.5

Handle = Callable[[Sequence[Any], Sequence[bool]], Awaitable[None]]
"""Records, and of each whether it was done before; returns when all that follows is durable."""
Again = Callable[[frozenset[int]], Awaitable[bool]]
"""Asked while nothing comes: whether these partitions must be read again from their beginning."""


class GroupReader:
    """Create it, and `run` it as a task on the worker's loop."""

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topic: str,
        group: str,
        handle: Handle,
        again: Again,
        *,
        batch_max: int,
        session_s: float,
    ) -> None:
        """Hand at most `batch_max` records on together."""
        self._client_options = client_options
        self._topic = topic
        self._group = group
        self._handle = handle
        self._again = again
        self._batch_max = batch_max
        self._session_s = session_s
        self._done: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Read until cancelled; raises what `handle` raises, and when reading is not allowed."""
        while True:
            try:
                await self._read()
            except (GroupAuthorizationFailedError, TopicAuthorizationFailedError):
                raise
            except KafkaError as error:
                degraded(Degradation.BROKER_RETRY)
                log.warning("reading %s: %r; trying again", self._topic, error)
            await asyncio.sleep(RETRY_S)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            self._topic,
            **self._client_options,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=round(1000 * self._session_s),
            heartbeat_interval_ms=round(200 * self._session_s),
        )
        try:
            await consumer.start()
            while True:
                fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=self._batch_max)
                if fetched:
                    await self._work(consumer, fetched)
                elif consumer.assignment():
                    await self._idle(consumer)
        finally:
            await consumer.stop()

    async def _work(
        self, consumer: AIOKafkaConsumer, fetched: Mapping[TopicPartition, list[Any]]
    ) -> None:
        records = [record for some in fetched.values() for record in some]
        before = [
            record.offset < self._done.get(TopicPartition(record.topic, record.partition), 0)
            for record in records
        ]
        await self._handle(records, before)
        reached = {tp: some[-1].offset + 1 for tp, some in fetched.items()}
        forward = {tp: at for tp, at in reached.items() if at > self._done.get(tp, 0)}
        if not forward:
            return
        try:
            await consumer.commit(forward)
        except (CommitFailedError, IllegalStateError) as error:
            # The partitions have moved: their new owner does it again, which changes nothing.
            log.info("%s was not committed: %r", self._topic, error)
        else:
            self._done |= forward

    async def _idle(self, consumer: AIOKafkaConsumer) -> None:
        assigned = consumer.assignment()
        if not await self._again(frozenset(tp.partition for tp in assigned)):
            return
        try:
            for tp in assigned:
                self._done[tp] = max(self._done.get(tp, 0), await consumer.position(tp))
            await consumer.seek_to_beginning(*assigned)
        except IllegalStateError:
            return  # they have moved meanwhile
