"""Reads topics partition by partition, without a group: nothing is committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.connection import client_options
from stream_app.streaming.refusals import connected
from stream_app.streaming.topics import admin_client

FETCH_BYTES = 4 << 20
"""Per request: thousands of records, so that requests cost nothing beside them."""
STALLED_S = 60
"""Without a record and without an answer for this long, the broker is taken for gone."""


class StalledError(UserError):
    """The broker has stopped answering while a topic was read."""


@asynccontextmanager
async def topic_reader(
    settings: Settings, places: Collection[tuple[str, int]]
) -> AsyncIterator[TopicReader]:
    """A connected reader of partitions `(topic, number)`.

    Raises `NoBrokerError` or `AccessError`.
    """
    consumer = AIOKafkaConsumer(
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # what retention deletes while we read is passed over
        fetch_max_wait_ms=10,  # all that is read is there already: waiting for more gains nothing
        max_partition_fetch_bytes=FETCH_BYTES,
        **client_options(settings),
    )
    async with connected(consumer, settings):
        assigned = [TopicPartition(topic, number) for topic, number in places]
        # Once for all: each new assignment would cost the client a fifth of a second.
        consumer.assign(assigned)
        consumer.pause(*assigned)
        yield TopicReader(consumer)


class TopicReader:
    """Offsets and records of single partitions."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def begin(self, topic: str, partition: int) -> int:
        """Offset of the first record that is still there."""
        place = TopicPartition(topic, partition)
        return int((await self._consumer.beginning_offsets([place]))[place])

    async def end(self, topic: str, partition: int) -> int:
        """Offset after the last record."""
        place = TopicPartition(topic, partition)
        return int((await self._consumer.end_offsets([place]))[place])

    async def at_time(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """Offset of the first record of that time or later; the end if there is none."""
        place = TopicPartition(topic, partition)
        found = (await self._consumer.offsets_for_times({place: timestamp_ms}))[place]
        return await self.end(topic, partition) if found is None else int(found.offset)

    async def read(
        self, topic: str, partition: int, start: int, end: int
    ) -> AsyncIterator[Sequence[Any]]:
        """Records from `start` to before `end`, fetch by fetch. Raises `StalledError`."""
        if start >= end:
            return
        place = TopicPartition(topic, partition)
        self._consumer.seek(place, start)
        self._consumer.resume(place)
        try:
            async for records in self._until(place, start, end):
                yield records
        finally:
            self._consumer.pause(place)

    async def _until(
        self, place: TopicPartition, start: int, end: int
    ) -> AsyncIterator[Sequence[Any]]:
        loop = asyncio.get_running_loop()
        heard, position = loop.time(), start
        while position < end:
            fetched = await self._consumer.getmany(place, timeout_ms=1000)
            records = fetched.get(place, [])
            if records and records[-1].offset >= end:
                records = [record for record in records if record.offset < end]
            if records:
                yield records
            # Compaction leaves holes, also at the end: only the position tells how far it is.
            moved = await self._consumer.position(place)
            if moved != position:
                heard, position = loop.time(), moved
            elif loop.time() - heard > STALLED_S:
                raise StalledError(
                    f"{place.topic}/{place.partition}: nothing came from the broker for "
                    f"{STALLED_S} s at offset {position} of {end}"
                )


async def committed_offsets(settings: Settings) -> dict[str, int]:
    """Committed offsets of the workers' group by `topic/partition`. Raises like `topic_reader`."""
    async with admin_client(settings) as admin:
        offsets = await admin.list_consumer_group_offsets(settings.app_id)
    return {
        f"{place.topic}/{place.partition}": int(committed.offset)
        for place, committed in offsets.items()
        if committed.offset >= 0
    }
