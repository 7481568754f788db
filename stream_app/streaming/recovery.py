"""Recovery of user rows, in the place of Faust's tables and their recovery.

Faust drives it through the interface of its table manager. At every assignment the rows are read
first; then, and in this order, the source partitions are put to their committed offsets, the stream
queues are opened, and fetching begins. Stock recovery fetches before it clears the queues, which
loses events (docs/delivery.md, "What stock Faust does").
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import faust
from aiokafka.errors import IllegalStateError, KafkaError
from faust.tables.manager import TableManager
from faust.types import TP

from stream_app.degradations import Degradation, degraded
from stream_app.streaming.batches import CONFIRM_POLL_S
from stream_app.streaming.broadcast import Broadcast
from stream_app.streaming.coordinator import membership_of
from stream_app.streaming.erasures import Erasures
from stream_app.streaming.exits import ExitCode, die
from stream_app.streaming.ownership import UserRows
from stream_app.streaming.publisher import Publisher

log = logging.getLogger(__name__)

RETRY_S = 0.5


class RowsManager(TableManager):
    """What Faust calls at a rebalance; create the app with it, then `attach` the rows."""

    def __init__(self, app: faust.App, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._topic = ""
        self._rows: UserRows | None = None
        self._publisher: Publisher | None = None
        self._erasures: Erasures | None = None
        self._catalogue: Broadcast | None = None
        self._running: asyncio.Task[None] | None = None
        self._completed = asyncio.Event()

    def attach(
        self,
        rows: UserRows,
        publisher: Publisher,
        topic: str,
        erasures: Erasures,
        catalogue: Broadcast,
    ) -> None:
        """The rows to recover, what publishes them, their changelog topic, who was erased, and what
        brings the catalogue, without which no list is made.
        """
        self._rows, self._publisher, self._topic = rows, publisher, topic
        self._erasures, self._catalogue = erasures, catalogue

    @property
    def changelog_topics(self) -> set[str]:
        """Faust assigns the topics of a user together only if there is state."""
        return {self._topic}

    @property
    def remaining(self) -> int:
        """Records still to read, of the changelog and of the catalogue."""
        if self._rows is None or self._catalogue is None:
            return 0
        return self._rows.remaining + self._catalogue.remaining

    async def on_start(self) -> None:
        """Nothing has to be registered, so the group can be joined at once."""
        self._tables_finalized.set()
        self._tables_registered.set()

    async def on_stop(self) -> None:
        """Give up a recovery that is under way."""
        self._cancel()
        if self._catalogue is not None:
            await self._catalogue.stop()
        await self.app._fetcher.stop()

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """A rebalance begins: what is being recovered may belong to another worker soon."""
        self._cancel()

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Recover in the background: the group must not wait for it."""
        self._recovery_started.set()
        self._cancel()
        self.app.in_recovery = True
        self._running = asyncio.ensure_future(self._recover(set(assigned), generation_id))

    async def wait_until_recovery_completed(self) -> bool:
        """Whether the service was stopped before the first recovery was over."""
        return bool(await self.wait_for_stopped(self._completed))

    def _cancel(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    async def _recover(self, assigned: set[TP], generation: int) -> None:
        try:
            began = time.monotonic()
            rows = await self._take({tp.partition for tp in assigned}, generation)
            if rows is None or self._running is not asyncio.current_task():
                return  # the partitions moved away; or a cancellation was swallowed
            if await self._resume(assigned, generation):
                seconds = time.monotonic() - began
                log.info("serving %d source partitions, %d users; recovered in %.2f s",
                         len(assigned), rows, seconds)  # fmt: skip
        except asyncio.CancelledError:
            raise
        except Exception as error:
            die(ExitCode.PROCESSING, "recovery failed", error)

    async def _take(self, partitions: set[int], generation: int) -> int | None:
        """The number of rows; None when the group has moved on meanwhile."""
        assert self._rows is not None
        assert self._publisher is not None
        assert self._erasures is not None
        assert self._catalogue is not None
        await self._catalogue.caught_up()
        while True:
            try:
                await self._publisher.start()
                await self._erasures.take(partitions)
                taken = await self._rows.take(
                    partitions, generation, lambda: self._is_member(generation)
                )
            except KafkaError as error:
                degraded(Degradation.BROKER_RETRY)
                log.warning("recovery: %r; trying again", error)
                await asyncio.sleep(RETRY_S)
            else:
                return self._rows.count() if taken else None

    async def _is_member(self, generation: int) -> bool:
        """Whether the group, asked from now on, has this worker in a generation; waits for it."""
        asked, coordinator = time.monotonic(), self.app.consumer.coordinator()
        while self.app.consumer_generation_id == generation:
            confirmed = membership_of(coordinator).confirmed_at > asked
            if confirmed and coordinator.generation == generation:
                return True
            await asyncio.sleep(CONFIRM_POLL_S)
        return False

    async def _resume(self, assigned: set[TP], generation: int) -> bool:
        """Let events flow; False when another rebalance has begun."""
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        if assigned and not await self._seek(assigned, generation):
            return False
        if self._running is not asyncio.current_task():
            return False
        app.flow_control.resume()
        consumer.resume_partitions(assigned)
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        app.in_recovery = False
        self.on_actives_ready()
        self.on_standbys_ready()
        app.on_rebalance_end()
        self._completed.set()
        return True

    async def _seek(self, assigned: set[TP], generation: int) -> bool:
        """Put the source partitions to their committed offsets, or to their beginning."""
        consumer = self.app.consumer
        while self.app.consumer_generation_id == generation and not self.should_stop:
            try:
                await consumer.perform_seek()
                # It leaves a partition without a commit where an earlier fetch has put it.
                fresh = [tp for tp in assigned if consumer.committed_offset(tp) is None]
                for tp, begin in (await consumer.earliest_offsets(*fresh)).items() if fresh else ():
                    await consumer.seek(tp, begin)
            except (KafkaError, IllegalStateError) as error:
                degraded(Degradation.BROKER_RETRY)
                log.warning("seeking to the committed offsets: %r; trying again", error)
                await asyncio.sleep(RETRY_S)
            else:
                return bool(self.app.consumer_generation_id == generation)
        return False
