"""The metrics of the live catalogue and its index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

NAN = float("nan")
STATES = ("listed", "delisted", "unavailable", "lacking", "refused")
"""As in the fields of `Catalogue`."""


class Catalogue(Protocol):
    """Figures of the live catalogue."""

    @property
    def listed(self) -> int:
        """Items of which something is said."""

    @property
    def delisted(self) -> int:
        """Items that were taken out."""

    @property
    def unavailable(self) -> int:
        """Items that must not be recommended now."""

    @property
    def lacking(self) -> int:
        """Items whose text has no vector yet."""

    @property
    def refused(self) -> int:
        """Items for which there was no room."""

    @property
    def indexed(self) -> int:
        """Items that can be found by their vector."""

    @property
    def buffered(self) -> int:
        """Of them, those in the exact buffer."""

    @property
    def rebuilds(self) -> int:
        """Snapshots built since the start."""

    @property
    def recall(self) -> float | None:
        """Share of the nearest items that the index finds; None when not measured yet."""


class Shown(Protocol):
    """What the lists of the last hour show; None where there was no list."""

    @property
    def coverage(self) -> float | None:
        """Share of the available items."""

    @property
    def top_share(self) -> float | None:
        """Share of the places that the ten items listed most often hold."""


class CatalogueMetrics:
    """Set from time to time; part of `metrics.Metrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._items = Gauge(
            "stream_app_catalogue_items",
            "Items of the catalogue by what is known of them.",
            ["state"],
            registry=registry,
        )
        self._lag = Gauge(
            "stream_app_catalogue_lag",
            "Records of topics that every worker reads whole which this one has still to read.",
            registry=registry,
        )
        self.read = Counter(
            "stream_app_items_read", "Items that the text encoder has read.", registry=registry
        )
        self._buffered = Gauge(
            "stream_app_index_buffer",
            "Items that are searched exactly beside the index.",
            registry=registry,
        )
        self._rebuilds = Gauge(
            "stream_app_index_rebuilds", "Indexes built since the start.", registry=registry
        )
        self._recall = Gauge(
            "stream_app_index_recall",
            "Share of the nearest items that the index finds, of sampled queries; NaN before one.",
            registry=registry,
        )
        self._newest = Gauge(
            "stream_app_catalogue_record_timestamp_seconds",
            "When the newest record read of each such topic was appended, Unix seconds.",
            ["topic"],
            registry=registry,
        )
        self._coverage = Gauge(
            "stream_app_catalogue_coverage",
            "Share of the available items that were in lists of the last hour; NaN without one.",
            registry=registry,
        )
        self._top_share = Gauge(
            "stream_app_top_items_share",
            "Share of the places of those lists that the ten items listed most often hold.",
            registry=registry,
        )
        for measured in (self._recall, self._coverage, self._top_share):
            measured.set(NAN)

    def seen(self, catalogue: Catalogue, remaining: int, newest_ms: Mapping[str, int]) -> None:
        """As `Metrics.catalogue`."""
        for state in STATES:
            self._items.labels(state).set(getattr(catalogue, state))
        self._lag.set(remaining)
        self._buffered.set(catalogue.buffered)
        self._rebuilds.set(catalogue.rebuilds)
        if catalogue.recall is not None:
            self._recall.set(catalogue.recall)
        for topic, at_ms in newest_ms.items():
            self._newest.labels(topic).set(at_ms / 1000)

    def shown(self, shown: Shown) -> None:
        """What lists show, as just seen."""
        self._coverage.set(NAN if shown.coverage is None else shown.coverage)
        self._top_share.set(NAN if shown.top_share is None else shown.top_share)
