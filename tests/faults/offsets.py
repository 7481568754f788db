"""Ends and commits of the source partitions, asked of the broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from stream_app.settings import Settings
from stream_app.streaming.topics import source_topics

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Offsets:
    """Source partitions at one moment."""

    ends: dict[Partition, int]
    committed: dict[Partition, int]
    """0 where nothing was committed yet."""

    @property
    def lag(self) -> int:
        """Records that are not committed."""
        return sum(end - self.committed[at] for at, end in self.ends.items())

    def reached(self, ends: Mapping[Partition, int]) -> bool:
        """Whether everything before `ends` is committed."""
        return all(self.committed[at] >= end for at, end in ends.items())


class OffsetReader:
    """A connection that asks again and again."""

    def __init__(
        self, group: str, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer,
        partitions: list[TopicPartition],
    ) -> None:  # fmt: skip
        self._group = group
        self._admin = admin
        self._consumer = consumer
        self._partitions = partitions

    async def read(self) -> Offsets | None:
        """Commits first, so that a commit is never beyond its end. Raises KafkaError.

        None while nothing is committed, which is also what a broker that has just started says.
        """
        committed = await self._admin.list_consumer_group_offsets(self._group)
        if not committed:
            return None
        ends = await self._consumer.end_offsets(self._partitions)
        return Offsets(
            ends={(at.topic, at.partition): ends[at] for at in self._partitions},
            committed={
                (at.topic, at.partition): max(0, committed[at].offset) if at in committed else 0
                for at in self._partitions
            },
        )


@asynccontextmanager
async def offset_reader(settings: Settings, partitions: int) -> AsyncIterator[OffsetReader]:
    """A connected reader of the group of `settings`. Raises KafkaError without a broker."""
    sources = [
        TopicPartition(topic, number)
        for topic in source_topics(settings)
        for number in range(partitions)
    ]
    servers = settings.bootstrap_servers
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=5000)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, request_timeout_ms=5000)
    try:
        await admin.start()
        await consumer.start()
        yield OffsetReader(settings.app_id, admin, consumer, sources)
    finally:
        await consumer.stop()
        await admin.close()
