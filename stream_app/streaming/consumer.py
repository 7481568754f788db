"""A Faust consumer that loses nothing when partitions move.

Stock recovery resumes the source partitions, then seeks them to the committed offsets, then clears
the stream queues. Events fetched in between are thrown away and, because the read position is
beyond them, either counted as processed (lost) or block the commit for ever. So the source
partitions stay paused here until recovery turns the flow on, which it does last.
See docs/delivery.md, "What stock Faust does".
"""

from __future__ import annotations

import time
from collections.abc import Iterable
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
FULL_QUEUE_WAIT_S = 0.01
"""How long to wait for other partitions meanwhile; Faust's second would leave the agent idle."""


class RecoverySafeConsumer(DrainWithoutTasks, driver.Consumer):
    """Holds source partitions through recovery and refuses holes in their offsets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._held: set[TP] = set()
        self._alignment = TimeAlignment()
        self._pacing = FetchPacing()
        super().__init__(*args, **kwargs)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Resume changelog partitions now, source partitions when the flow is resumed."""
        tps = set(tps)
        source = {tp for tp in tps if not self._is_changelog_tp(tp)}
        self._held |= source
        if tps - source:
            super().resume_partitions(tps - source)

    def resume_flow(self) -> None:
        """Turn the flow on; recovery does so only after seek and queue clearing."""
        super().resume_flow()
        if self._held:
            held, self._held = self._held, set()
            super().resume_partitions(held)

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Pause, forgetting any hold and any full-buffer mark of these partitions."""
        tps = set(tps)
        self._held -= tps
        self._buffered_partitions -= tps
        self._alignment.forget(tps)
        super().pause_partitions(tps)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget how far lost partitions were read."""
        self._alignment.forget(revoked)
        await super().on_partitions_revoked(revoked)

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
        if any(map(self._is_changelog_tp, active)):
            return await super()._getmany(active, timeout)
        chosen = self._alignment.choose(active, self._known_end)
        if not chosen:  # those that are behind have full queues
            await self.sleep(FULL_QUEUE_S)
            return {}
        full = bool(self._buffered_partitions)  # these may be active again at any moment
        fetched = await self._thread.fetch(chosen, FULL_QUEUE_WAIT_S if full else timeout)
        if fetched or not full:
            self._alignment.observe(fetched)
        events = sum(map(len, fetched.values()))
        self._thread.pace(busy=self._pacing.observe(events, time.monotonic()))
        return fetched

    def _known_end(self, tp: TP) -> int | None:
        try:
            return cast("int | None", self.highwater(tp))
        except AssertionError:  # it went to another worker while it was being fetched
            return None

    async def is_truncated(self, tp: TP, offset: int) -> bool:
        """Whether the topic begins at `offset` or later: retention has deleted what was before."""
        return bool((await self.earliest_offsets(tp))[tp] >= offset)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if await self.is_truncated(tp, offset_to):
            await super()._add_gap(tp, offset_from, offset_to)
            return
        # Source topics are neither compacted nor transactional, so any other hole is a bug.
        die(
            ExitCode.OFFSET_HOLE, f"{tp.topic}/{tp.partition}: no events {offset_from}..{offset_to}"
        )

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
    Consumer = RecoverySafeConsumer


def install(app: faust.App) -> None:
    """Make `app` consume through `RecoverySafeConsumer`; call it before the app starts."""
    app.transport = _Transport(app.conf.broker_consumer, app)
