"""A Faust consumer that fetches aligned and gathered batches, and refuses holes in their offsets.

Nothing is fetched while partitions move: the flow is off from before an assignment until recovery
turns it on, as its last step. See docs/delivery.md, "What stock Faust does".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, cast

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_app.streaming.alignment import MAX_RECORDS, TimeAlignment
from stream_app.streaming.drain import DrainWithoutTasks
from stream_app.streaming.exits import ExitCode, die
from stream_app.streaming.pacing import (
    BUSY_MIN_BYTES,
    BUSY_WAIT_MS,
    QUIET_MIN_BYTES,
    QUIET_WAIT_MS,
    FetchPacing,
)

FULL_QUEUE_S = 0.002
"""About as long as the agent needs for the part of a batch that makes room again."""
MAX_QUEUED_BYTES = 64 * 1024 * 1024
"""What may wait for the agent. Faust bounds its queue by count, which large values would defeat."""
FULL_QUEUE_WAIT_S = 0.01
"""How long to wait for other partitions meanwhile; Faust's second would leave the agent idle."""


class SafeConsumer(DrainWithoutTasks, driver.Consumer):
    """Fetches for the agent; see the module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._alignment = TimeAlignment()
        self._pacing = FetchPacing()
        self.queued_bytes: Callable[[], int] = lambda: 0
        """How much the agent has still to take; it sets this."""
        self.fetched_bytes = 0
        """Of all events so far."""
        super().__init__(*args, **kwargs)

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Pause, forgetting any full-buffer mark of these partitions."""
        tps = set(tps)
        self._buffered_partitions -= tps
        self._alignment.forget(tps)
        super().pause_partitions(tps)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget how far lost partitions were read."""
        self._alignment.forget(revoked)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Begin anew: fetch nothing until recovery is over, and forget what was acknowledged.

        Faust keeps an acknowledgement that comes late in a rebalance, and what it tried to commit
        when the broker refused. Both would be committed, or taken for committed, in the new
        generation, in which the events are read again.
        """
        self.stop_flow()
        for tp in assigned:
            self._acked.pop(tp, None)
            self._acked_index.pop(tp, None)
            self._gap.pop(tp, None)
            self._committed_offset.pop(tp, None)
        await super().on_partitions_assigned(assigned, generation_id)

    def ack(self, message: Any) -> bool:
        """Acknowledge an event, unless it was read in an earlier generation."""
        if message.generation_id != self.app.consumer_generation_id:
            self.unacked.discard(message)
            return False
        return bool(super().ack(message))

    def on_buffer_drop(self, tp: TP) -> None:
        """Wake a partition whose buffer has drained, unless recovery has paused it."""
        if tp in self._paused_partitions:
            self._buffered_partitions.discard(tp)
        else:
            super().on_buffer_drop(tp)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109
        # The set is live and read in another thread. Should it become empty during the wait,
        # aiokafka takes "no partitions" for "all partitions" and the records are dropped later.
        if not active_partitions:
            return await super()._getmany(active_partitions, timeout)
        active = frozenset(active_partitions)
        chosen = self._alignment.choose(active, self._known_end)
        if not chosen or self.queued_bytes() > MAX_QUEUED_BYTES:
            # Those that are behind have full queues, or all wait for the agent.
            await self.sleep(FULL_QUEUE_S)
            return {}
        full = bool(self._buffered_partitions)  # these may be active again at any moment
        fetched = await self._thread.fetch(chosen, FULL_QUEUE_WAIT_S if full else timeout)
        if fetched or not full:
            self._alignment.observe(fetched)
        events = sum(map(len, fetched.values()))
        self.fetched_bytes += sum(
            record.serialized_value_size for records in fetched.values() for record in records
        )
        self._thread.pace(busy=self._pacing.observe(events, time.monotonic()))
        return fetched

    def _known_end(self, tp: TP) -> int | None:
        try:
            return cast("int | None", self.highwater(tp))
        except AssertionError:  # it went to another worker while it was being fetched
            return None

    def may_have_holes(self, tp: TP) -> bool:
        """Whether compaction takes records out of the topic, so that their offsets are missing."""
        return tp.topic in self.transport.compacted

    async def is_truncated(self, tp: TP, offset: int) -> bool:
        """Whether the topic begins at `offset` or later: retention has deleted what was before."""
        return bool((await self.earliest_offsets(tp))[tp] >= offset)

    async def verify_all_partitions_active(self) -> None:
        """Nothing: the watchdog looks for what stands still.

        Faust's own look only logs, and it ends the worker when it comes while partitions are
        assigned anew: it reads positions that are not known yet.
        """

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if self.may_have_holes(tp) or await self.is_truncated(tp, offset_to):
            await super()._add_gap(tp, offset_from, offset_to)
            return
        # Other source topics are neither compacted nor transactional: any other hole is a bug.
        die(
            ExitCode.OFFSET_HOLE, f"{tp.topic}/{tp.partition}: no events {offset_from}..{offset_to}"
        )

    def coordinator(self) -> Any:
        """aiokafka's side of the consumer group."""
        return self._thread._ensure_consumer()._coordinator

    def committed_offset(self, tp: TP) -> int | None:
        """Next offset to process according to the last commit, or None when nothing is."""
        return cast("int | None", self._committed_offset.get(tp))

    def _new_consumer_thread(self) -> Any:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = QUIET_WAIT_MS
        return consumer

    def pace(self, *, busy: bool) -> None:
        """Let the next fetches gather events, or answer with the first."""
        fetcher = self._ensure_consumer()._fetcher
        fetcher._fetch_min_bytes = BUSY_MIN_BYTES if busy else QUIET_MIN_BYTES
        fetcher._fetch_max_wait_ms = BUSY_WAIT_MS if busy else QUIET_WAIT_MS

    async def fetch(self, partitions: frozenset[TP], timeout: float) -> Any:  # noqa: ASYNC109
        """Records of some source partitions, few at a time, so that they stay aligned."""
        return await self.call_thread(
            self._fetch_records,
            self._ensure_consumer(),
            partitions,
            timeout=timeout,
            max_records=MAX_RECORDS,
        )


class _Transport(driver.Transport):
    Consumer = SafeConsumer
    compacted: Collection[str] = ()


def install(app: faust.App, compacted: Collection[str] = ()) -> None:
    """Make `app` consume through `SafeConsumer`; call it before the app starts.

    Offsets may be missing from the topics `compacted`, and from no other.
    """
    app.transport = _Transport(app.conf.broker_consumer, app)
    app.transport.compacted = compacted
