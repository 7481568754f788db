"""Shares the trends: what this worker has counted goes to `item-trends`, what all have comes back.

A count is written into the partition with the number of the partition that was counted, under the
key of its item, so that the topic keeps one record for each pair. Nothing waits for it: a worker
that dies takes what it counted in its last second with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from aiokafka.errors import KafkaError, ProducerClosed

import schemas
from schemas import ItemTrend, RejectedMessage, decode_output
from stream_app.degradations import Degradation, degraded
from stream_app.observability.logging import at
from stream_app.streaming.publisher import Publisher, PublisherStopped
from stream_app.trends import Published, SharedTrends

log = logging.getLogger(__name__)

FLUSH_S = 1.0
"""How often counts are published: trends are of hours and days, and records cost every worker."""


class TrendAgent:
    """Takes up and publishes counts; what is computed runs on the engine's thread."""

    def __init__(
        self, trends: SharedTrends, topic: str, publisher: Publisher, engine: Executor
    ) -> None:
        """`topic` is the full name of `item-trends`."""
        self._trends = trends
        self._topic = topic
        self._publisher = publisher
        self._engine = engine
        self._troubled = False

    async def take(self, records: Sequence[Any]) -> None:
        """Take up records of the topic; what is no valid message is passed over."""
        published: list[Published] = []
        for record in records:
            if record.value is None:
                continue  # a count that was removed by hand: it stays until the next release
            try:
                published.append((record.partition, decode_output(ItemTrend, record.value)))
            except RejectedMessage as error:
                log.error("%s/%d@%d is no count: %s",
                          record.topic, record.partition, record.offset, error,
                          extra=at(record.topic, record.partition, record.offset))  # fmt: skip
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._engine, self._trends.merge, published)

    async def flush(self) -> None:
        """Publish what has grown; what the broker does not take is published next time."""
        try:
            outbox = self._publisher.outbox()
        except PublisherStopped:
            return  # not connected yet, or no more
        loop = asyncio.get_running_loop()
        grown = await loop.run_in_executor(self._engine, self._trends.unpublished)
        if not grown:
            return
        for partition, trend in grown:
            outbox.add(self._topic, partition, trend.item_id.encode(), schemas.encode(trend))
        try:
            await outbox.deliver()
            self._troubled = False
        except ProducerClosed:
            return  # the worker is stopping
        except KafkaError as error:
            degraded(Degradation.TRENDS_UNPUBLISHED)
            if not self._troubled:
                log.warning("%s: %r; trying again every second", self._topic, error)
            self._troubled = True
            await loop.run_in_executor(self._engine, self._trends.not_published)
