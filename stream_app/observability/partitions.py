"""The metrics of a worker's part in the group: readiness, lag and age of commits by partition."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

Partition = tuple[str, int]


class Offsets(Protocol):
    """Progress in one partition."""

    @property
    def lag(self) -> int:
        """Events that are not processed yet."""

    @property
    def committed(self) -> int | None:
        """Next offset to process after a restart; None when nothing was committed yet."""


class Progress(Protocol):
    """One look at the consumer."""

    @property
    def ready(self) -> bool:
        """Whether events are consumed."""

    @property
    def generation(self) -> int:
        """Generation of the group at the last assignment; 0 before the first."""

    @property
    def partitions(self) -> Mapping[Partition, Offsets]:
        """The assigned source partitions, by topic and number."""


class PartitionMetrics:
    """Set about once a second; part of `metrics.Metrics`."""

    def __init__(
        self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._moved: dict[Partition, tuple[int | None, float]] = {}
        self._generation = 0
        self._lag = Gauge(
            "stream_app_consumer_lag",
            "Events of a partition of this worker that are not committed yet.",
            ["topic", "partition"],
            registry=registry,
        )
        self._age = Gauge(
            "stream_app_commit_age_seconds",
            "Since the committed offset moved last, while something is not committed; else 0.",
            ["topic", "partition"],
            registry=registry,
        )
        self._rebalances = Counter(
            "stream_app_rebalances",
            "Assignments of partitions to this worker, the first included.",
            registry=registry,
        )
        self._ready = Gauge(
            "stream_app_ready", "1 while the worker consumes events, else 0.", registry=registry
        )

    def seen(self, progress: Progress) -> None:
        """As just seen; partitions that went to another worker disappear."""
        now = self._clock()
        self._ready.set(progress.ready and bool(progress.partitions))
        if progress.generation not in (0, self._generation):
            self._rebalances.inc()
            self._generation = progress.generation
        for topic, partition in self._moved.keys() - progress.partitions.keys():
            del self._moved[topic, partition]
            self._lag.remove(topic, str(partition))
            self._age.remove(topic, str(partition))
        for place, offsets in progress.partitions.items():
            committed, since = self._moved.get(place, (None, now))
            if not offsets.lag or place not in self._moved or committed != offsets.committed:
                since = now
            self._moved[place] = offsets.committed, since
            labels = place[0], str(place[1])
            self._lag.labels(*labels).set(offsets.lag)
            self._age.labels(*labels).set(max(0.0, now - since))
