"""Publishes the records that follow from a batch, and says when the broker has all of them.

One idempotent producer, and one record batch per topic-partition: appending to a batch costs far
less than a send per record, and there is one acknowledgement to wait for instead of hundreds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer

BATCH_BYTES = 262_144
"""Upper size of one record batch; the broker's default limit for a record is 1 MiB."""

Headers = Iterable[tuple[str, bytes | None]]


class Publisher:
    """Create it, `start` it on the worker's loop, and share it between agents."""

    def __init__(self, bootstrap_servers: str, client_id: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises `aiokafka.errors.KafkaConnectionError` when no broker answers."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,  # a retried request neither repeats nor reorders records
            linger_ms=0,  # a batch is complete when it is handed over: waiting only adds latency
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=60_000,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is pending and disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    def outbox(self) -> Outbox:
        """An empty outbox for one batch of events."""
        if self._producer is None:
            raise RuntimeError("the publisher is not started")
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

    async def deliver(self) -> None:
        """Send everything and return when the broker has acknowledged all of it."""
        batches = self._full + [(*target, batch) for target, batch in self._open.items()]
        self._open, self._full = {}, []
        sent = []
        for topic, partition, batch in batches:
            batch.close()
            sent.append(await self._producer.send_batch(batch, topic, partition=partition))
        if sent:
            await asyncio.gather(*sent)
