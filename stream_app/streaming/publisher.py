"""Publishes the records that follow from a batch, and says when the broker has all of them.

One idempotent producer, and one record batch per topic-partition: appending to a batch costs far
less than a send per record, and there is one acknowledgement to wait for instead of hundreds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

BATCH_BYTES = 262_144
"""Upper size of one record batch; the broker's default limit for a record is 1 MiB."""

Headers = Iterable[tuple[str, bytes | None]]
Record = tuple[str, int, bytes | None, bytes | None, Headers]
"""Topic, partition, key, value and headers of a record to publish."""


class Delivered(NamedTuple):
    """One record batch that the broker has acknowledged."""

    topic: str
    partition: int
    offset: int
    """Of its first record."""
    records: int


class PublisherStopped(RuntimeError):  # noqa: N818 - it names a state
    """Nothing can be published: not started yet, or stopped."""


class Publisher:
    """Create it, `start` it on the worker's loop, and share it between agents."""

    def __init__(self, client_options: Mapping[str, Any], client_id: str) -> None:
        self._client_options = client_options
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Connect, unless connected. Raises `KafkaConnectionError` when no broker answers."""
        async with self._starting:  # the agent and the recovery both ask for it
            if self._producer is None:
                self._producer = await self._connect()

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._client_options,
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,  # a retried request neither repeats nor reorders records
            linger_ms=0,  # a batch is complete when it is handed over: waiting only adds latency
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=60_000,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def stop(self) -> None:
        """Send what is pending and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    def outbox(self) -> Outbox:
        """An empty outbox for one batch of events."""
        if self._producer is None:
            raise PublisherStopped("the publisher is not connected")
        return Outbox(self._producer)


class Outbox:
    """Records of one batch of events, on their way to the broker."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._open: dict[tuple[str, int], Any] = {}
        self._full: list[tuple[str, int, Any]] = []

    def add(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
    ) -> None:
        """Append one record; nothing is sent before `deliver`."""
        target = (topic, partition)
        batch = self._open.get(target)
        fields = {"timestamp": None, "key": key, "value": value, "headers": list(headers)}
        if batch is not None and batch.append(**fields) is not None:
            return
        if batch is not None:
            self._full.append((topic, partition, batch))
        batch = self._open[target] = self._producer.create_batch()
        if batch.append(**fields) is None:  # a new batch takes a record of any size
            raise ValueError(f"record of {len(value or b'')} bytes for {topic} was refused")

    async def deliver(self) -> list[Delivered]:
        """Send everything and return when the broker has acknowledged all of it."""
        batches = self._full + [(*target, batch) for target, batch in self._open.items()]
        self._open, self._full = {}, []
        sent = []
        for topic, partition, batch in batches:
            batch.close()
            sent.append(await self._producer.send_batch(batch, topic, partition=partition))
        placed = await asyncio.gather(*sent)
        return [
            Delivered(topic, partition, metadata.offset, batch.record_count())
            for (topic, partition, batch), metadata in zip(batches, placed, strict=True)
        ]
