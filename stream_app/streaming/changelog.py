"""Reads partitions of the changelog topic, from an offset to its end, as fast as a consumer can.

Faust's recovery handles record by record (13,000 a second); this folds whole fetches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from stream_app.degradations import Degradation, degraded

log = logging.getLogger(__name__)

FETCH_BYTES = 4 * 1024 * 1024
"""Per partition and request: some thousand rows, so that requests cost nothing beside them."""
FETCH_WAIT_MS = 50
POLL_MS = 500
RETRY_S = 0.5
"""Between attempts while no broker answers."""


class ChangelogReader:
    """Reads without a group; one consumer per reading."""

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        self._client_options = client_options
        self._topic = topic
        self.remaining = 0
        """Records that the current reading has before it: 0 while nothing is read."""

    async def read(self, since: Mapping[int, int]) -> AsyncIterator[tuple[int, list[Any], int]]:
        """Fetched records by partition, and the next offset after them.

        Each partition is read from its offset in `since` to the end that it has now, and comes at
        least once, so that the caller learns an end that lies before its offset. While no broker
        answers it waits.
        """
        left = dict(since)
        try:
            while left:
                try:
                    async for partition, records, next_offset, done in self._attempt(left):
                        yield partition, records, next_offset
                        left[partition] = next_offset
                        if done:
                            del left[partition]
                except KafkaError as error:
                    degraded(Degradation.BROKER_RETRY)
                    log.warning("reading %s: %r; trying again", self._topic, error)
                    await asyncio.sleep(RETRY_S)
        finally:
            self.remaining = 0

    async def _attempt(
        self, since: Mapping[int, int]
    ) -> AsyncIterator[tuple[int, list[Any], int, bool]]:
        consumer = AIOKafkaConsumer(
            **self._client_options,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
            partitions = {TopicPartition(self._topic, number): number for number in since}
            consumer.assign(list(partitions))
            ends = await consumer.end_offsets(list(partitions))
            begins = await consumer.beginning_offsets(list(partitions))
            left = {tp: max(since[number], begins[tp]) for tp, number in partitions.items()}
            for tp, start in left.items():
                consumer.seek(tp, start)
            fetched: dict[TopicPartition, list[Any]] = {}
            while left:
                for tp in list(left):
                    records = fetched.get(tp, [])
                    # Compaction leaves holes, also at the end: only the position says how far.
                    position = await consumer.position(tp)
                    done = position >= ends[tp]
                    left[tp] = position
                    if done:
                        del left[tp]
                        consumer.pause(tp)
                    if records or done:
                        # Nothing read and beyond the end: the topic is shorter than it was.
                        yield partitions[tp], records, position if records else ends[tp], done
                self.remaining = sum(ends[tp] - offset for tp, offset in left.items())
                fetched = await consumer.getmany(timeout_ms=POLL_MS) if left else {}
        finally:
            await consumer.stop()
