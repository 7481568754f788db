"""Every Prometheus metric of a worker, and the few methods that the rest of the code calls."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from importlib.metadata import version
from typing import Protocol

import numpy as np
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
)

from schemas import Reason
from stream_app.bundle import Bundle
from stream_app.observability.catalogue import Catalogue, CatalogueMetrics
from stream_app.observability.control import ControlMetrics
from stream_app.observability.engine import EngineMetrics
from stream_app.observability.histogram import BatchHistogram, LabelledHistogram
from stream_app.observability.partitions import PartitionMetrics, Progress

# From 1 ms to 10 s. A quantile is only as good as the edges around it: 10, 25, 50 and 100 ms are
# where objectives are set.
LATENCY_EDGES_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.035, 0.05, 0.075, 0.1),
    *(0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
STAGE_EDGES_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)
FEW = 8
"""Up to so many times it takes less to look at one after the other."""
SAMPLED_ROWS = 16
"""Rows of a batch that are looked at for the size of the state."""
BATCH_EDGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class Row(Protocol):
    """A user's row as it was published."""

    @property
    def value(self) -> bytes | None:
        """None where it was removed."""


class BatchWork(Protocol):
    """What is counted of a handled batch."""

    @property
    def outcomes(self) -> Mapping[tuple[str, str], int]:
        """Number of events by topic and outcome."""

    @property
    def reasons(self) -> Mapping[str, int]:
        """Number of dead letters by reason."""

    @property
    def unanswered(self) -> int:
        """Records that no list answers."""

    @property
    def receipts(self) -> Sized:
        """Requests for erasure."""

    @property
    def stages(self) -> Mapping[str, float]:
        """Seconds by stage."""

    @property
    def lists(self) -> Sized:
        """The recommendations after events."""

    @property
    def answers(self) -> Sized:
        """The recommendations for requests."""

    @property
    def rows(self) -> Sequence[Row]:
        """The rows of users."""

    @property
    def arms(self) -> Mapping[tuple[str, str], int]:
        """Number of lists and answers by experiment and arm."""

    @property
    def appended_ms(self) -> Sequence[int]:
        """Kafka's times (Unix ms) of the events that were new."""

    @property
    def asked_ms(self) -> Sequence[int]:
        """The same of the requests that have an answer."""


class Metrics:
    """The metrics of one worker, in one registry."""

    def __init__(
        self, registry: CollectorRegistry = REGISTRY, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives Unix seconds, as event times do."""
        # When each series began would be as many series again, of no use here.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._clock = clock
        self._serving: Bundle | None = None
        self._named_backend = ""
        self._rows_written = self._bytes_written = 0
        self._latency = BatchHistogram(
            "stream_app_feedback_to_recommendation_seconds",
            "From an event's append to the acknowledgement of the list that covers it.",
            LATENCY_EDGES_S,
            registry,
        )
        self._request_latency = BatchHistogram(
            "stream_app_request_to_recommendation_seconds",
            "From a request's append to the acknowledgement of its answer.",
            LATENCY_EDGES_S,
            registry,
        )
        self._events = Counter(
            "stream_app_events",
            "Events by topic and what was done with them.",
            ["topic", "outcome"],
            registry=registry,
        )
        self._recommendations = Counter(
            "stream_app_recommendations", "Lists published.", registry=registry
        )
        self._coalesced = Counter(
            "stream_app_coalesced",
            "Events whose list also covers a later event of the user in the same batch.",
            registry=registry,
        )
        self._dead_letters = Counter(
            "stream_app_dead_letters", "Dead letters by reason.", ["reason"], registry=registry
        )
        self._batch_size = BatchHistogram(
            "stream_app_batch_size", "Events handled together.", BATCH_EDGES, registry
        )
        self._stages = LabelledHistogram(
            "stream_app_stage_seconds",
            "Processor time of one batch in each stage; publish is time waited for the broker.",
            "stage",
            STAGE_EDGES_S,
            registry,
        )
        for known in Reason:  # a rate sees the first of them only where there was a zero
            self._dead_letters.labels(known.value)
        self._make_gauges(registry)
        self._make_parts(registry)

    def _make_gauges(self, registry: CollectorRegistry) -> None:
        self._release = Gauge(
            "stream_app_release_info",
            "1 for the model release that serves.",
            ["name", "version", "backend"],
            registry=registry,
        )
        self._release_created = Gauge(
            "stream_app_release_created_timestamp_seconds",
            "When that release was made, Unix seconds: time() minus it is its age.",
            registry=registry,
        )
        self._index_size = Gauge(
            "stream_app_index_size", "Items in the item index.", registry=registry
        )
        self._users = Gauge(
            "stream_app_users", "Users whose rows this worker owns.", registry=registry
        )
        self._state_bytes = Gauge(
            "stream_app_state_bytes",
            "Those rows times the mean size of rows written, of which some are looked at.",
            registry=registry,
        )
        self._late_rows = Gauge(
            "stream_app_late_rows",
            "Rows refused since the start: written late by a former owner, or damaged.",
            registry=registry,
        )
        self._erasures = Counter(
            "stream_app_erasures", "Requests for erasure that have a receipt.", registry=registry
        )
        self._expired = Counter(
            "stream_app_users_expired", "Users removed after long silence.", registry=registry
        )

    def _make_parts(self, registry: CollectorRegistry) -> None:
        build = Gauge(
            "stream_app_build_info",
            "1 for the version of stream-app and of Python.",
            ["version", "python"],
            registry=registry,
        )
        build.labels(version("stream-app"), platform.python_version()).set(1)
        self._catalogue = CatalogueMetrics(registry)
        self._partitions = PartitionMetrics(registry)
        self.watch = EngineMetrics(registry).watch
        self.shown = self._catalogue.shown
        control = ControlMetrics(registry)
        self.control, self._arms = control.seen, control.arms

    def batch(self, work: BatchWork, *, events: int) -> None:
        """A batch of so many `events` and requests is handled: its outputs are acknowledged.

        A clock of a broker that runs ahead of ours counts as no time at all.
        """
        now = self._clock()
        for histogram, times in (
            (self._latency, work.appended_ms),
            (self._request_latency, work.asked_ms),
        ):
            if len(times) > FEW:
                histogram.observe(np.maximum(now - np.array(times, np.float64) / 1e3, 0))
            else:
                histogram.observe_few([max(0.0, now - time_ms / 1e3) for time_ms in times])
        self._batch_size.observe_few([events])
        for (topic, outcome), count in work.outcomes.items():
            self._events.labels(topic, outcome).inc(count)
        for reason, count in work.reasons.items():
            self._dead_letters.labels(reason).inc(count)
        self._stages.observe(work.stages)
        self._arms(work.arms)
        lists = len(work.lists) + len(work.answers)
        self._recommendations.inc(lists)
        if (coalesced := events - work.unanswered - lists) > 0:
            self._coalesced.inc(coalesced)
        if receipts := len(work.receipts):
            self._erasures.inc(receipts)
        written = [len(row.value) for row in work.rows[:SAMPLED_ROWS] if row.value is not None]
        self._rows_written += len(written)
        self._bytes_written += sum(written)

    def rows(self, users: int, late: int) -> None:
        """How many rows there are, and how many were refused since the start."""
        self._users.set(users)
        self._state_bytes.set(users * self._bytes_written / max(1, self._rows_written))
        self._late_rows.set(late)

    def catalogue(self, seen: Catalogue, remaining: int, newest_ms: Mapping[str, int]) -> None:
        """The catalogue as just seen, and how many of its records are to be read.

        `newest_ms` are the times (Unix ms) of the newest records read, by topic without prefix.
        """
        self._index_size.set(seen.indexed)
        self._catalogue.seen(seen, remaining, newest_ms)

    def items_read(self, items: int, reasons: Sequence[str]) -> None:
        """So many texts of items were read, and dead letters were written for these reasons."""
        self._catalogue.read.inc(items)
        for reason in reasons:
            self._dead_letters.labels(reason).inc()

    def expired(self, users: int) -> None:
        """So many users were removed after long silence."""
        self._expired.inc(users)

    def progress(self, seen: Progress) -> None:
        """Readiness, lag and commits as just seen; call it about once a second."""
        self._partitions.seen(seen)
        self._name_backend()

    def release(self, bundle: Bundle) -> None:
        """This release serves from now on."""
        manifest = bundle.manifest
        self._serving, self._named_backend = bundle, ""
        self._name_backend()
        self._release_created.set(manifest.created_at.timestamp())
        self._index_size.set(len(bundle.index))

    def _name_backend(self) -> None:
        """Show the release with what runs its encoder now: one that breaks is replaced."""
        if self._serving is None or self._named_backend == self._serving.encoder.backend:
            return
        manifest, self._named_backend = self._serving.manifest, self._serving.encoder.backend
        self._release.clear()
        self._release.labels(manifest.name, manifest.version, self._named_backend).set(1)
