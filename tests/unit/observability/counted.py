"""A worker's engine with its metrics in a registry, without Kafka."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from small_release import small_release

from agents.engine import Engine, Record, Work
from schemas import Click, Purchase
from stream_app.observability.metrics import Metrics
from stream_app.recommender import Recommender
from stream_app.streaming.probe import PartitionProgress, Snapshot
from tests.engine_topics import ENGINE_TOPICS

NOW_MS = 1_700_000_000_000


class Counted:
    """Takes batches as a worker does, and shows what a scrape would."""

    def __init__(self, items: int = 40) -> None:
        self.recommender = Recommender(small_release(items), clock=lambda: NOW_MS, counted=True)
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, clock=lambda: NOW_MS / 1000)
        self.metrics.release(self.recommender.bundle)
        tally = self.recommender.tally
        assert tally is not None
        self.metrics.watch(tally.funnel, self.recommender.treatments.rules)
        self._engine = Engine(
            self.recommender,
            sources={"clicks": Click, "purchases": Purchase},
            **ENGINE_TOPICS,
            clock_ms=lambda: NOW_MS,
        )
        self._rows: dict[bytes, bytes | None] = {}

    def handle(self, records: list[Record]) -> Work:
        """A batch, as if the broker had acknowledged all that follows from it."""
        keys = {record.key for record in records if record.key is not None}
        work = self._engine.work(records, {key: self._rows.get(key) for key in keys})
        self._rows |= {row.key: row.value for row in work.rows if row.key is not None}
        self.metrics.batch(work, events=len(records))
        self.metrics.rows(len(self._rows), 0)
        return work

    def look(self) -> None:
        """What a worker does now and then."""
        status, shown = self.recommender.look()
        self.metrics.catalogue(status, 0, {"items": NOW_MS})
        assert shown is not None
        self.metrics.shown(shown)
        for topic in ("scenarios", "experiments", "rules"):
            self.metrics.control(topic, 1, 0)
        partitions = {("clicks", 0): PartitionProgress(1, 2)}
        self.metrics.progress(Snapshot(started=True, generation=1, partitions=partitions))

    def forget_rows(self) -> None:
        self._rows.clear()

    def exposition(self) -> str:
        return generate_latest(self.registry).decode()

    def families(self) -> dict[str, Metric]:
        """By name, as Prometheus parses them."""
        return {one.name: one for one in text_string_to_metric_families(self.exposition())}

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def records(
    values: Iterable[tuple[bytes | None, bytes | None]], topic: str = "clicks", first: int = 0
) -> list[Record]:
    """One for each key and value."""
    return [
        Record(topic, 0, first + number, NOW_MS, key, value)
        for number, (key, value) in enumerate(values)
    ]
