"""The agent of the main job: events, requests and erasures in, user rows and fresh lists out.

The order of the steps is the delivery guarantee (docs/delivery.md): take a batch, compute, publish
rows, lists, dead letters and receipts, wait until the broker has them, acknowledge, in this order.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor
from typing import Any

from agents import batch_log
from agents.batch_traces import BatchTraces
from agents.engine import Engine, Record
from stream_app.inspector import Feed
from stream_app.observability.metrics import Metrics
from stream_app.streaming.activity import Activity, Stage
from stream_app.streaming.batches import Batches
from stream_app.streaming.erasures import Erasures
from stream_app.streaming.exits import ExitCode, die
from stream_app.streaming.expiry import StreamClock
from stream_app.streaming.ownership import UserRows
from stream_app.streaming.publisher import Publisher

LOG_APPEND_TIME = 1
"""Kafka's number for timestamps that the broker has set."""


class RecommendAgent:
    """Callable that Faust runs as the agent over the source topics."""

    def __init__(
        self,
        engine: Engine,
        rows: UserRows,
        erasures: Erasures,
        clock: StreamClock,
        publisher: Publisher,
        metrics: Metrics,
        batch_max: int,
        session_s: float,
        thread: Executor,
        feed: Feed | None = None,
        traces: BatchTraces | None = None,
    ) -> None:
        """`session_s` is how long the group keeps a member that it does not hear of.

        `thread` is one: the encoder leaves the event loop free, and batches keep their order.
        `feed` is told what was done, for the inspector.
        `traces` only where they are switched on.
        """
        self._engine = engine
        self._rows = rows
        self._erasures = erasures
        self._clock = clock
        self._publisher = publisher
        self._metrics = metrics
        self._batch_max = batch_max
        self._session_s = session_s
        self.activity = Activity()
        """For the watchdog."""
        self._thread = thread
        self._feed = feed
        self._traces = traces

    async def __call__(self, stream: Any) -> None:
        """Handle batches until the worker stops; anything unforeseen ends the process."""
        try:
            await self._publisher.start()
            self.activity.enter(Stage.WAITING)
            batches = Batches(stream, self._batch_max)
            async for batch in batches:
                if await self._handle(batch, batches):
                    await batches.acknowledge(batch)
                else:
                    batches.abandon(batch)
                self.activity.enter(Stage.WAITING)
        except asyncio.CancelledError:  # stopping: what is not acknowledged is read again
            raise
        except Exception as error:
            die(ExitCode.PROCESSING, "a batch could not be handled", error)
        finally:
            self.activity.enter(Stage.ENDED)
            await self._publisher.stop()

    async def _handle(self, batch: list[Any], batches: Batches) -> bool:
        """Compute and publish; False when the partitions have moved away meanwhile."""
        term = self._rows.term
        records = [_record(event.message) for event in batch]
        states = self._rows.read((record.partition, record.key) for record in records if record.key)
        erased = self._erasures.find((record.partition, record.key) for record in records)
        loop = asyncio.get_running_loop()
        self.activity.enter(Stage.ENGINE)
        began_ns = time.time_ns()
        work = await loop.run_in_executor(self._thread, self._engine.work, records, states, erased)
        trace = self._traces.of(records, work, began_ns) if self._traces is not None else None
        began = time.perf_counter()
        now_ms = self._clock.observe((r.partition, r.timestamp_ms) for r in records)
        self.activity.enter(Stage.PUBLISH)
        changes = [(row.partition, row.key or b"", row.value) for row in work.rows]
        also = [*work.lists, *work.answers, *work.decisions, *work.dead, *work.receipts]
        also += work.forgotten
        if not await batches.confirm_membership(batch, self._session_s):
            return False
        if not await self._rows.write(changes, now_ms, also, term):
            return False
        for request in work.erasures:
            self._erasures.add(*request)
        work.stages["publish"] = time.perf_counter() - began
        if trace is not None:
            trace.finish(work.stages)
        batch_log.say(records, work, trace.trace_id if trace is not None else None)
        self._metrics.batch(work, events=len(records))
        self._metrics.rows(self._rows.count(), self._rows.late)
        if self._feed is not None:
            self._feed.batch(work, records)
        return True


def _record(message: Any) -> Record:
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=round(message.timestamp * 1000),  # Faust made seconds of milliseconds
        key=message.key,
        value=message.value,
        headers=tuple(message.headers or ()),
        log_append_time=message.timestamp_type == LOG_APPEND_TIME,
    )
