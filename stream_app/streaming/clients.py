"""Plain Kafka clients for commands, demo and tests: send events, follow or read a topic.

No consumer group: whoever looks at a topic must not take partitions from the workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from schemas import (
    CLICKS,
    ERASURES,
    IMPRESSIONS,
    ITEMS,
    PROFILES,
    PURCHASES,
    REQUESTS,
    Click,
    Encoding,
    ErasureReceipt,
    ErasureRequest,
    Impression,
    Item,
    Profile,
    Purchase,
    Recommendation,
    RecommendationRequest,
    RejectedMessage,
    decode_output,
    encode,
    topic_name,
)
from stream_app.observability.tracing import Tracing, start_tracing
from stream_app.settings import Settings
from stream_app.streaming import lenient
from stream_app.streaming.connection import client_options
from stream_app.streaming.refusals import connected, in_words
from stream_app.streaming.topics import missing_topics, partition_counts

Message = TypeVar("Message", Recommendation, ErasureReceipt)
"""What somebody waits for who has asked."""
ANSWER_POLL_S = 0.05


class EventSender:
    """Sends events, requests and erasures, keyed by user; partitions are chosen by murmur2."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        prefix: str,
        encoding: Encoding,
        tracing: Tracing | None = None,
    ) -> None:
        self._producer = producer
        self._encoding = encoding
        self.tracing = tracing
        self._erasures = topic_name(prefix, ERASURES)
        self._requests = topic_name(prefix, REQUESTS)
        self._profiles = topic_name(prefix, PROFILES)
        self._items = topic_name(prefix, ITEMS)
        self._topics = {
            Click: topic_name(prefix, CLICKS),
            Purchase: topic_name(prefix, PURCHASES),
            Impression: topic_name(prefix, IMPRESSIONS),
        }

    async def send(self, event: Click | Purchase | Impression) -> Any:
        """Queue one event; returns a future of its record metadata (topic, partition, offset)."""
        return await self._of_user(
            self._topics[type(event)], encode(event, self._encoding), event.user_id
        )

    async def send_item(self, item_id: str, item: Item | None) -> Any:
        """Queue what is said of an item, None to delist it; returns a future as `send` does."""
        value = None if item is None else encode(item, self._encoding)
        return await self._producer.send(self._items, value, key=item_id.encode())

    async def send_profile(self, user_id: str, profile: Profile | None) -> Any:
        """Queue what is said of a user, None to withdraw it; returns a future as `send` does."""
        value = None if profile is None else encode(profile, self._encoding)
        return await self._of_user(self._profiles, value, user_id)

    async def send_raw(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[Any] = ()
    ) -> Any:
        """Queue a record as it is, to a full topic name."""
        return await self._producer.send(topic, value, key=key, headers=list(headers))

    async def ask(self, request: RecommendationRequest) -> Any:
        """Queue a request for a list; returns a future as `send` does."""
        value = encode(request, self._encoding)
        return await self._of_user(self._requests, value, request.user_id)

    async def erase(self, request: ErasureRequest) -> Any:
        """Queue a request to erase a user; returns a future as `send` does."""
        value = encode(request, self._encoding)
        return await self._producer.send(self._erasures, value, key=request.user_id.encode())

    async def _of_user(self, topic: str, value: bytes | None, user_id: str) -> Any:
        """Queue a record, in a trace where there is one or it begins here."""
        key = user_id.encode()
        if self.tracing is None:
            return await self._producer.send(topic, value, key=key)
        headers, done = self.tracing.send(topic)
        sent = await self._producer.send(topic, value, key=key, headers=headers)
        if done is not None:
            sent.add_done_callback(done)
        return sent


@asynccontextmanager
async def event_sender(
    settings: Settings, *, encoding: Encoding = "msgpack", service: str = "stream-app-client"
) -> AsyncIterator[EventSender]:
    """A connected sender; leaving the block waits until everything is delivered.

    `service` is what sends, for traces. Raises `NoBrokerError` or `AccessError`, and UserError for
    traces without their extra.
    """
    tracing = start_tracing(
        settings.trace_endpoint, settings.trace_sample, service, settings.app_id
    )
    producer = AIOKafkaProducer(acks="all", enable_idempotence=True, **client_options(settings))
    try:
        async with connected(producer, settings):
            yield EventSender(producer, settings.topic_prefix, encoding, tracing)
    finally:
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


@asynccontextmanager
async def follower(
    settings: Settings, topics: Sequence[str], *, from_start: bool
) -> AsyncIterator[Follower]:
    """A consumer of whole topics that is positioned before the block is entered.

    Raises `NoBrokerError` or `AccessError`, `TopicsError` when a topic does not exist, and
    `UserError` when it may not be read.
    """
    lenient.install()  # a tool must be able to read what a worker reads
    partitions = await _partitions(settings, topics)
    consumer = AIOKafkaConsumer(
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4 << 20,
        **client_options(settings),
    )
    async with connected(consumer, settings), in_words(settings):
        consumer.assign(partitions)  # a subscription would reset positions at a metadata change
        seek = consumer.seek_to_beginning if from_start else consumer.seek_to_end
        await seek(*partitions)
        for partition in partitions:  # seek_to_end is lazy: fix the position now
            await consumer.position(partition)
        yield Follower(consumer, partitions)


class Follower:
    """Records of some topics, in batches as they arrive."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self.consumer = consumer
        self.partitions = partitions

    async def poll(self, timeout_s: float = 1.0) -> list[Any]:
        """Records that have arrived, or none after `timeout_s`; in order within a partition."""
        fetched = await self.consumer.getmany(timeout_ms=int(timeout_s * 1000))
        return [record for records in fetched.values() for record in records]

    async def find(self, kind: type[Message], wanted: Callable[[Message], bool]) -> Message:
        """Wait for a message of ours that is wanted; what something else has written is skipped."""
        while True:
            for record in await self.poll(ANSWER_POLL_S):
                with suppress(RejectedMessage):
                    message = decode_output(kind, record.value)
                    if wanted(message):
                        return message

    async def to_end(self) -> AsyncIterator[Any]:
        """The records that are there now, then stop."""
        ends = await self.consumer.end_offsets(self.partitions)
        while await self._behind(ends):
            for record in await self.poll():
                if record.offset < ends[TopicPartition(record.topic, record.partition)]:
                    yield record

    async def _behind(self, ends: dict[TopicPartition, int]) -> bool:
        for partition, end in ends.items():
            if await self.consumer.position(partition) < end:
                return True
        return False


async def _partitions(settings: Settings, topics: Sequence[str]) -> list[TopicPartition]:
    counts = await partition_counts(settings, topics)
    missing = set(topics) - counts.keys()
    if missing:
        raise missing_topics(settings, sorted(missing))
    return [TopicPartition(topic, part) for topic in topics for part in range(counts[topic])]
