"""Lag and the age of commits by partition, and how often partitions were assigned."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from stream_app.observability.partitions import PartitionMetrics
from stream_app.streaming.probe import PartitionProgress, Snapshot


class Watched:
    """A worker that is looked at, and the clock by which it is."""

    def __init__(self) -> None:
        self.now = 100.0
        self.registry = CollectorRegistry()
        self.metrics = PartitionMetrics(self.registry, clock=lambda: self.now)

    def see(
        self, *partitions: tuple[int, int | None, int], generation: int = 1, after_s: float = 1.0
    ) -> None:
        """Partitions of clicks: number, committed offset, end."""
        self.now += after_s
        progress = {("clicks", n): PartitionProgress(done, end) for n, done, end in partitions}
        seen = Snapshot(started=True, generation=generation, partitions=progress)
        self.metrics.seen(seen)

    def value(self, name: str, partition: int) -> float | None:
        labels = {"topic": "clicks", "partition": str(partition)}
        return self.registry.get_sample_value(name, labels)

    def lag(self, partition: int) -> float | None:
        return self.value("stream_app_consumer_lag", partition)

    def age(self, partition: int) -> float | None:
        return self.value("stream_app_commit_age_seconds", partition)

    def total(self, name: str) -> float | None:
        return self.registry.get_sample_value(name)


@pytest.fixture
def worker() -> Watched:
    return Watched()


def test_lag_is_shown_and_partitions_that_left_disappear(worker: Watched) -> None:
    worker.see((0, 3, 10), (1, 8, 10))
    assert (worker.lag(0), worker.lag(1)) == (7, 2)
    assert worker.total("stream_app_ready") == 1
    worker.see((1, 7, 10))
    assert (worker.lag(0), worker.lag(1)) == (None, 3)
    assert (worker.age(0), worker.age(1)) == (None, 0)
    worker.see()
    assert worker.total("stream_app_ready") == 0


def test_a_commit_that_is_stuck_grows_old_and_one_that_moves_does_not(worker: Watched) -> None:
    worker.see((0, 5, 9), (1, 5, 9))
    assert (worker.age(0), worker.age(1)) == (0, 0)
    worker.see((0, 5, 12), (1, 6, 12), after_s=10)
    worker.see((0, 5, 20), (1, 7, 20), after_s=10)
    assert (worker.age(0), worker.age(1)) == (20, 0)
    worker.see((0, 6, 20), (1, 7, 20), after_s=10)
    assert (worker.age(0), worker.age(1)) == (0, 10)


def test_a_quiet_partition_has_no_age_and_its_first_event_begins_one(worker: Watched) -> None:
    worker.see((0, 5, 5))
    worker.see((0, 5, 5), after_s=3600)
    assert worker.age(0) == 0
    worker.see((0, 5, 6))
    assert worker.age(0) == 1, "since it was last seen with nothing to commit"
    worker.see((0, 6, 6))
    assert worker.age(0) == 0


def test_what_was_never_committed_grows_old_too(worker: Watched) -> None:
    worker.see((0, None, 4))
    worker.see((0, None, 4), after_s=30)
    assert worker.age(0) == 30


def test_a_partition_that_comes_back_begins_anew(worker: Watched) -> None:
    worker.see((0, 5, 9))
    worker.see(after_s=60)
    worker.see((0, 5, 9), after_s=60)
    assert worker.age(0) == 0


def test_assignments_are_counted_by_generation(worker: Watched) -> None:
    def assignments() -> float | None:
        return worker.total("stream_app_rebalances_total")

    worker.see(generation=0)
    assert assignments() == 0
    worker.see((0, 5, 9), generation=4)
    worker.see((0, 5, 9), generation=4)
    assert assignments() == 1
    worker.see((0, 5, 9), generation=6)
    assert assignments() == 2
