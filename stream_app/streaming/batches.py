"""Batches of source records: all that is queued when the agent is idle, never more than `limit`.

A batch does not wait to be full and has no timer: near idle it is one event, under load it grows by
itself. Nothing is acknowledged here; whoever handles the batch calls `acknowledge` when everything
that follows from it is durable. Every partition is checked to continue at its committed offset and
without a hole after that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from faust.types import TP

from stream_app.degradations import Degradation, degraded
from stream_app.observability.logging import at
from stream_app.streaming.coordinator import membership_of
from stream_app.streaming.exits import ExitCode, die

CONFIRM_POLL_S = 0.05

log = logging.getLogger(__name__)


class Batches:
    """The batches of one stream, as an asynchronous iterator of lists of events."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._app = stream.app
        self._limit = limit
        self._expected: dict[TP, tuple[int, int]] = {}  # partition -> generation, next offset

    async def __aiter__(self) -> AsyncIterator[list[Any]]:
        stream = self._stream
        channel = stream.channel
        queue = (channel if channel.is_iterator else aiter(channel)).queue
        await stream.maybe_start()
        taken = 0

        def queued_bytes() -> int:
            nonlocal taken
            if queue.empty():  # also where a rebalance has emptied it
                taken = consumer.fetched_bytes
            return int(consumer.fetched_bytes - taken)

        consumer = self._app.consumer
        consumer.queued_bytes = queued_bytes
        while not stream.should_stop:
            try:
                batch = [await queue.get()]
            except StopAsyncIteration:  # the channel was closed: the worker is stopping
                return
            while len(batch) < self._limit and not queue.empty():
                batch.append(queue.get_nowait())
            taken += sum(len(event.message.value or b"") for event in batch)
            live = [event for event in batch if await self._admit(event)]
            batch.clear()  # the consumer tracks messages weakly: keep no other reference
            if live:
                yield live

    async def acknowledge(self, batch: list[Any]) -> None:
        """Mark the events as done, in order, so that their offsets may be committed."""
        for event in batch:
            await self._stream.ack(event)

    def abandon(self, batch: list[Any]) -> None:
        """Leave the events to whoever has their partitions now; no rebalance waits for them."""
        for event in batch:
            self._app.consumer.unacked.discard(event.message)

    async def confirm_membership(self, batch: list[Any], within_s: float) -> bool:
        """Whether the group took this worker for a member within so many seconds; waits for it.

        A process that was stopped, or cut off, learns only from the next answer whether its
        partitions are still its own. False when a rebalance has begun meanwhile.
        """
        generation = batch[0].message.generation_id
        while self._app.consumer_generation_id == generation:
            membership = membership_of(self._app.consumer.coordinator())
            if time.monotonic() - membership.confirmed_at < within_s:
                return True
            if self._app.rebalancing:
                return False
            await asyncio.sleep(CONFIRM_POLL_S)
        return False

    def is_current(self, event: Any) -> bool:
        """Whether the event belongs to the present assignment of partitions."""
        generation = self._app.consumer_generation_id
        current = event.message.generation_id == generation
        return bool(current and self._app.flow_control.is_active())

    async def _admit(self, event: Any) -> bool:
        """Track the event as in process; refuse one of an earlier assignment, it is read again."""
        if not self.is_current(event):
            return False
        message = event.message
        await self._check_offset(message)
        if not self.is_current(event):  # a rebalance came while the offset was checked
            return False
        if not message.tracked:
            message.tracked = True
            self._app.consumer.unacked.add(message)
            self._stream._on_message_in(message.tp, message.offset, message)
        return True

    async def _check_offset(self, message: Any) -> None:
        consumer, generation = self._app.consumer, message.generation_id
        known, expected = self._expected.get(message.tp, (None, 0))
        if known != generation:
            committed = consumer.committed_offset(message.tp)
            if committed is None:
                committed = (await consumer.earliest_offsets(message.tp))[message.tp]
            expected = committed
        holes = message.offset > expected
        if holes and consumer.may_have_holes(message.tp):
            pass  # a later record of the same user stands behind what is missing
        elif holes and await consumer.is_truncated(message.tp, message.offset):
            degraded(Degradation.EVENTS_UNREAD, message.offset - expected)
            log.error(
                "%s/%d: events %d to %d were deleted by retention before they were read",
                message.topic, message.partition, expected, message.offset - 1,
                extra=at(message.topic, message.partition, message.offset),
            )  # fmt: skip
        elif holes:
            die(
                ExitCode.OFFSET_HOLE,
                f"{message.topic}/{message.partition}: expected offset {expected}, "
                f"got {message.offset}",
            )
        self._expected[message.tp] = (generation, max(expected, message.offset + 1))
