"""Which rejected records were sent again: the source topics themselves are the memory.

A replayed record says in a header where the rejected one stands. Before anything is sent, the
source topics are read from the time of the oldest dead letter on, so a replay that died half way,
or is run twice, goes on with what is not there yet. Nothing is written in transactions: their
markers take up offsets, and a worker ends at a hole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.clients import follower

REPLAYED_FROM = "replayed-from"
"""Header of a replayed record: topic, partition and offset of the rejected one."""

MARGIN_MS = 600_000
"""The clocks of two brokers, or of a producer and a broker, are less apart than this."""


def replayed_header(origin: str) -> tuple[str, bytes]:
    """What a record that is sent again for the one at `origin` carries."""
    return REPLAYED_FROM, origin.encode()


async def already_replayed(
    settings: Settings, since_ms: Mapping[str, int], *, trust_gaps: bool
) -> set[str]:
    """Origins of all records of some topics that were sent again since a time (Unix ms) of each.

    Raises `UserError` where retention has deleted a part of that time, so that nobody can tell,
    unless `trust_gaps`; `NoBrokerError` and `TopicsError` as of `follower`.
    """
    origins: set[str] = set()
    async with follower(settings, list(since_ms), from_start=True) as records:
        consumer = records.consumer
        for partition in records.partitions:
            since = max(0, since_ms[partition.topic] - MARGIN_MS)
            await _seek(consumer, partition, since, trust_gaps)
        async for record in records.to_end():
            origins.update(
                value.decode(errors="backslashreplace")
                for name, value in record.headers
                if name == REPLAYED_FROM and value is not None
            )
    return origins


async def _seek(consumer: AIOKafkaConsumer, at: TopicPartition, since: int, trust: bool) -> None:
    begins = (await consumer.beginning_offsets([at]))[at]
    found: Any = (await consumer.offsets_for_times({at: since}))[at]
    ends = (await consumer.end_offsets([at]))[at]
    start = ends if found is None else found.offset
    if 0 < begins == start and not trust:
        raise UserError(
            f"{at.topic}/{at.partition}: the records from before offset {begins} are deleted, so "
            "nobody can tell which of these dead letters were replayed before; pass --never-before "
            "if none of them was"
        )
    consumer.seek(at, start)
