"""The broker's side of a run: topics, limits, offsets and whole topics, read synchronously."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.topics import changelog_topic
from tests.faults.offsets import Partition

TIMEOUT_S = 10.0
BROKER_ID = "1"
NORMAL_MESSAGE_BYTES = 1_048_588
"""Kafka's default of `max.message.bytes`."""
SEGMENTS = {
    "segment.bytes": "1048576",  # the least that Kafka takes
    "segment.ms": "5000",
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "20000",
    "delete.retention.ms": "1000",
}
"""Lets compaction run all the time; the lag stays longer than a zombie's stop."""


class Cluster:
    """One installation of topics on the embedded broker."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        self.settings = settings
        self.partitions = partitions
        self.changelog = changelog_topic(settings.app_id)
        self._admin = AdminClient(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    def create(self) -> None:
        """Make the topics, with a changelog that is compacted all the time."""
        asyncio.run(topics.create(self.settings, self.partitions, replication=1))
        self.alter(ResourceType.TOPIC, self.changelog, SEGMENTS)
        self.alter(ResourceType.BROKER, BROKER_ID, {"log.cleaner.backoff.ms": "2000"})

    def limit_outputs(self, max_bytes: int) -> None:
        """The largest record batch that `recommendations` takes."""
        topic = self.settings.topic_prefix + "recommendations"
        self.alter(ResourceType.TOPIC, topic, {"max.message.bytes": str(max_bytes)})

    def alter(self, kind: ResourceType, name: str, values: Mapping[str, str]) -> None:
        """Change settings of a topic or of the broker, now."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in values.items()
        ]
        resource = ConfigResource(kind, name, incremental_configs=entries)
        for future in self._admin.incremental_alter_configs([resource]).values():
            future.result(TIMEOUT_S)

    def delete_before(self, committed: Mapping[Partition, int]) -> dict[Partition, int]:
        """What retention does, at its worst: delete all that is committed; the new beginnings."""
        wanted = [TopicPartition(topic, number, at) for (topic, number), at in committed.items()]
        deleted = self._admin.delete_records(wanted)
        return {
            (at.topic, at.partition): future.result(TIMEOUT_S).low_watermark
            for at, future in deleted.items()
        }

    def read(self, topic: str) -> Iterator[Any]:
        """All records of a topic (full name) that are there now, partition by partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.bootstrap_servers,
                "group.id": "harness",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )
        try:
            left = self.partitions
            consumer.assign(
                [TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(left)]
            )
            while left:
                for record in consumer.consume(1000, timeout=1.0):
                    error = record.error()
                    if error is None:
                        yield record
                    elif error.name() == "_PARTITION_EOF":
                        left -= 1
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()
