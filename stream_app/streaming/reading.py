"""Reads topics partition by partition, without a group: nothing is committed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
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

    async def begins(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """`begin` of many partitions, asked together."""
        found = await self._consumer.beginning_offsets([TopicPartition(*one) for one in places])
        return {(place.topic, place.partition): int(offset) for place, offset in found.items()}

    async def ends(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """`end` of many partitions, asked together."""
        found = await self._consumer.end_offsets([TopicPartition(*one) for one in places])
        return {(place.topic, place.partition): int(offset) for place, offset in found.items()}

    async def at_time(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """Offset of the first record of that time or later; the end if there is none."""
        place = TopicPartition(topic, partition)
        found = (await self._consumer.offsets_for_times({place: timestamp_ms}))[place]
        return await self.end(topic, partition) if found is None else int(found.offset)

    async def at_times(self, times_ms: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """`at_time` of many partitions, asked together."""
        asked = {TopicPartition(*place): time_ms for place, time_ms in times_ms.items()}
        found = await self._consumer.offsets_for_times(asked)
        ends = await self.ends(times_ms)
        return {
            (place.topic, place.partition): ends[place] if at is None else int(at.offset)
            for place, at in found.items()
        }

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

    async def read_all(
        self, ranges: Mapping[tuple[str, int], tuple[int, int]]
    ) -> dict[tuple[str, int], list[Any]]:
        """The records of many partitions, each from one offset to before another, read together.

        For ranges that fit into memory. Raises `StalledError`.
        """
        found: dict[tuple[str, int], list[Any]] = {place: [] for place in ranges}
        left = {TopicPartition(*one): end for one, (start, end) in ranges.items() if start < end}
        for place in left:
            self._consumer.seek(place, ranges[place][0])
        self._consumer.resume(*left)
        heard = time.monotonic()
        while left:
            for place, records in (await self._consumer.getmany(timeout_ms=200)).items():
                heard = time.monotonic()
                end = ranges[place][1]
                found[place] += [record for record in records if record.offset < end]
            done = [one for one, end in left.items() if await self._consumer.position(one) >= end]
            self._consumer.pause(*done)
            for place in done:
                del left[place]
            if left and time.monotonic() - heard > STALLED_S:
                raise _stalled(next(iter(left)), "while several partitions were read")
        return found

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
                raise _stalled(place, f"at offset {position} of {end}")


def _stalled(place: TopicPartition, where: str) -> StalledError:
    return StalledError(
        f"{place.topic}/{place.partition}: nothing came from the broker for {STALLED_S} s {where}"
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
