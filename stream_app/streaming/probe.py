"""What a worker is doing, read from another thread without touching its event loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import faust
from faust.exceptions import ConsumerNotStarted


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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at the worker."""

    started: bool = False
    stopping: bool = False
    generation: int = 0
    """Number of assignments of the group so far; 0 until the worker has joined."""
    rebalancing: bool = False
    recovering: bool = False
    recovery_remaining: int = 0
    """Changelog records still to read."""
    in_process: int = 0
    """Events taken from the queue and not yet acknowledged."""
    partitions: dict[tuple[str, int], PartitionProgress] = field(default_factory=dict)
    """Source partitions of this worker."""

    @property
    def ready(self) -> bool:
        """Whether events are consumed: joined, recovered, and not in a rebalance."""
        return (
            self.started
            and not self.stopping
            and self.generation > 0
            and not self.rebalancing
            and not self.recovering
        )

    @property
    def state(self) -> str:
        """The same in a few words, for people."""
        if self.stopping:
            return "stopping"
        if not self.started or self.generation == 0:
            return "joining the group"
        if self.recovering or self.rebalancing:
            return f"recovering state, {self.recovery_remaining} records to read"
        return f"serving {len(self.partitions)} source partitions"


def snapshot(app: faust.App, sources: frozenset[str]) -> Snapshot:
    """Look at `app`, which consumes the topics `sources`. Safe from any thread at any time."""
    # The public property would create a consumer, in this thread and on its loop.
    consumer: Any = app._consumer
    if consumer is None or not app.started:
        return Snapshot(stopping=bool(app.should_stop))
    try:
        assigned = [tp for tp in consumer.assignment() if tp.topic in sources]
        partitions = {
            (tp.topic, tp.partition): PartitionProgress(
                committed=consumer.committed_offset(tp), end=consumer.highwater(tp) or 0
            )
            for tp in assigned
        }
        remaining = app.tables.remaining
        in_process = len(consumer.unacked)
    except (
        RuntimeError,
        AttributeError,
        KeyError,
        AssertionError,
        ConsumerNotStarted,
    ):  # changed while we looked
        partitions, remaining, in_process = {}, 0, 0
    return Snapshot(
        started=True,
        stopping=bool(app.should_stop),
        generation=max(0, app.consumer_generation_id),
        rebalancing=bool(app.rebalancing),
        recovering=bool(app.in_recovery) or not app.tables.actives_ready,
        recovery_remaining=remaining,
        in_process=in_process,
        partitions=partitions,
    )
