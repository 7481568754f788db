"""The metrics of the live catalogue and its index."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

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
        self._recall.set(float("nan"))

    def seen(self, catalogue: Catalogue, remaining: int) -> None:
        """The catalogue as just seen, and how many of its records are to be read."""
        for state in STATES:
            self._items.labels(state).set(getattr(catalogue, state))
        self._lag.set(remaining)
        self._buffered.set(catalogue.buffered)
        self._rebuilds.set(catalogue.rebuilds)
        if catalogue.recall is not None:
            self._recall.set(catalogue.recall)
