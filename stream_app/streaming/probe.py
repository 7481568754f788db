"""What a worker is doing, read from another thread without touching its event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import faust
from faust.exceptions import ConsumerNotStarted

from stream_app.observability.logging import told
from stream_app.streaming.activity import Standing
from stream_app.streaming.coordinator import membership_of
from stream_app.streaming.groups import Partition

ATTEMPTS = 5
"""A collection may change while it is read; that it does so several times in a row is a fault."""

_CHANGED = (RuntimeError, KeyError, AttributeError, AssertionError)


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """Offsets of one source partition."""

    committed: int | None
    """Next offset to process after a restart; None when nothing was committed yet."""
    end: int
    """Next offset that the broker will give out, as far as this worker has heard."""

    @property
    def lag(self) -> int:
        """Events that a restart would read."""
        return max(0, self.end - (self.committed or 0))


class Member(NamedTuple):
    """This worker's part in the consumer group."""

    alive: bool = True
    """Whether that runs which keeps the membership up."""
    confirmed: int = 0
    """Answers so far in which the coordinator took this worker for a member."""
    joining: bool = False
    """Waiting to be let in, which the other members may delay."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at the worker."""

    started: bool = False
    stopping: bool = False
    crashed: str = ""
    """The error that made the application stop by itself, as it may be logged."""
    generation: int = 0
    """Generation of the group at the last assignment; 0 until the worker has joined."""
    member: Member = field(default_factory=Member)
    rebalancing: bool = False
    recovering: bool = False
    recovery_remaining: int = 0
    """Changelog records still to read."""
    in_process: int = 0
    """Events taken from the queue and not yet acknowledged."""
    partitions: Mapping[Partition, PartitionProgress] = field(default_factory=dict)
    """Source partitions of this worker."""
    missing: Collection[Partition] = ()
    """Source partitions that belong to those assigned, and are not assigned."""
    agent: Standing = field(default_factory=Standing)

    @property
    def joined(self) -> bool:
        """Whether the group has given this worker an assignment, be it empty."""
        return self.started and self.generation > 0

    @property
    def ready(self) -> bool:
        """Whether events are consumed: joined, recovered, and not in a rebalance."""
        return self.joined and not (self.stopping or self.rebalancing or self.recovering)

    @property
    def state(self) -> str:
        """The same in a few words, for people."""
        if self.stopping:
            return "stopping"
        if not self.joined:
            return "joining the group"
        if self.rebalancing and not self.recovering:
            return "waiting for the end of a rebalance"
        if not self.ready:
            return f"recovering state, {self.recovery_remaining} records to read"
        if self.missing:
            return f"not assigned: {named(self.missing)}"
        return f"serving {len(self.partitions)} source partitions"


def named(partitions: Collection[Partition]) -> str:
    """Partitions for people."""
    return ", ".join(f"{topic}/{number}" for topic, number in sorted(partitions))


def snapshot(app: faust.App, sources: frozenset[str], agent: Standing) -> Snapshot:
    """Look at `app`, which consumes the topics `sources`. Safe from any thread at any time.

    Raises what Faust raises when it is not as this module expects it.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return _look(app, sources, agent)
        except (*_CHANGED, ConsumerNotStarted):
            continue
    return _look(app, sources, agent)


def main_loop(app: faust.App) -> asyncio.AbstractEventLoop | None:
    """The event loop of a worker; None before it has started."""
    return cast("asyncio.AbstractEventLoop | None", app._loop)


def loops(app: faust.App) -> dict[str, asyncio.AbstractEventLoop | None]:
    """The event loops of a worker by name; None while there is none."""
    consumer: Any = app._consumer
    thread = getattr(consumer, "_thread", None)
    return {
        "the event loop": main_loop(app),
        "the event loop of the consumer": getattr(thread, "thread_loop", None),
    }


def _look(app: faust.App, sources: frozenset[str], agent: Standing) -> Snapshot:
    # The public property would create a consumer, in this thread and on its loop.
    consumer: Any = app._consumer
    crashed = told(app.crash_reason) if app.crash_reason else ""
    stopping = bool(app.should_stop)
    if consumer is None or consumer._thread._consumer is None or not app.started or stopping:
        return Snapshot(stopping=stopping, crashed=crashed, agent=agent)
    assigned = list(consumer.assignment())
    recovering = bool(app.in_recovery)
    return Snapshot(
        started=True,
        generation=max(0, app.consumer_generation_id),
        member=_member(consumer),
        rebalancing=bool(app.rebalancing),
        recovering=recovering or not (app.rebalancing or app.tables.actives_ready),
        recovery_remaining=app.tables.remaining,
        in_process=len(consumer.unacked),
        partitions={
            (tp.topic, tp.partition): PartitionProgress(
                committed=consumer.committed_offset(tp), end=consumer.highwater(tp) or 0
            )
            for tp in assigned
            if tp.topic in sources
        },
        missing=_missing({(tp.topic, tp.partition) for tp in assigned}, sources),
        agent=agent,
    )


def _missing(assigned: Collection[Partition], sources: frozenset[str]) -> frozenset[Partition]:
    """Who has a number of one topic must have it of all: they are assigned together."""
    numbers = {number for _, number in assigned}
    return frozenset(
        (topic, number)
        for topic in sources
        for number in numbers
        if (topic, number) not in assigned
    )


def _member(consumer: Any) -> Member:
    thread = consumer._thread
    client = thread._consumer
    coordinator = client and client._coordinator
    if coordinator is None:
        return Member(alive=False)
    membership = membership_of(coordinator)
    alive = thread._thread.is_alive() and not coordinator._coordination_task.done()
    return Member(alive, membership.confirmed, membership.joining)
