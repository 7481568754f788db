"""Figures for the page, read from the worker's own metrics: what Grafana shows is what it shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Metric

WINDOW_S = 60
_LATENCY = "stream_app_feedback_to_recommendation_seconds"
_READ = (
    f"{_LATENCY}_bucket",
    "stream_app_events_total",
    "stream_app_recommendations_total",
    "stream_app_dead_letters_total",
)
_USERS = "stream_app_users"
_RULES = ("stream_app_rule_lists_total", "stream_app_rule_items_total")
_ARMS = "stream_app_experiment_lists_total"


class Totals(NamedTuple):
    """Since the worker's start."""

    events: int
    lists: int
    dead_letters: int
    edges_s: tuple[float, ...]
    """Upper edges of the buckets of freshness, `[n]`."""
    buckets: NDArray[np.int64]
    """Events in each, `[n + 1]`; the last is above all edges."""


class Freshness(NamedTuple):
    """How long events of a window of time waited for their list."""

    window_s: int
    edges_ms: list[float]
    counts: list[int]
    p50_ms: float | None
    p99_ms: float | None


class Figures:
    """Reads one registry; from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def totals(self) -> Totals:
        """The counts as they are now."""
        found = {metric.name: metric for metric in self._collect(_READ)}
        cumulative = {
            float(sample.labels["le"]): int(sample.value)
            for sample in found[_LATENCY].samples
            if sample.name.endswith("_bucket")
        }
        edges = sorted(cumulative)
        counts = np.array([cumulative[edge] for edge in edges], np.int64)
        counts[1:] -= counts[:-1].copy()
        events, lists, letters = (
            _sum(found.get(name.removesuffix("_total"))) for name in _READ[1:]
        )
        return Totals(events, lists, letters, tuple(edges[:-1]), counts)  # without infinity

    def users(self) -> int:
        """Users whose rows the worker owns, as of its last batch."""
        return int(self._registry.get_sample_value(_USERS) or 0)

    def rules(self) -> Mapping[str, tuple[int, int]]:
        """By rule the lists for which it held, and the places of lists that it touched."""
        lists, places = (self._by_label(name, "rule") for name in _RULES)
        return {rule: (count, places.get(rule, 0)) for rule, count in lists.items()}

    def arms(self) -> Mapping[tuple[str, str], int]:
        """Lists by experiment and arm."""
        return {
            (sample.labels["experiment"], sample.labels["arm"]): int(sample.value)
            for metric in self._collect((_ARMS,))
            for sample in metric.samples
            if sample.name == _ARMS
        }

    def _by_label(self, name: str, label: str) -> dict[str, int]:
        return {
            sample.labels[label]: int(sample.value)
            for metric in self._collect((name,))
            for sample in metric.samples
            if sample.name == name
        }

    def _collect(self, names: tuple[str, ...]) -> list[Metric]:
        return list(self._registry.restricted_registry(names).collect())


class Window:
    """Counts of the last `WINDOW_S` seconds from totals that are read once a second."""

    def __init__(self) -> None:
        self._past: deque[NDArray[np.int64]] = deque(maxlen=WINDOW_S + 1)

    def freshness(self, totals: Totals) -> Freshness:
        """One second later: the freshness of the window that ends now."""
        self._past.append(totals.buckets)
        counts = totals.buckets - self._past[0]
        edges_ms = [1e3 * edge for edge in totals.edges_s]
        p50, p99 = (_quantile(counts, edges_ms, share) for share in (0.5, 0.99))
        return Freshness(len(self._past) - 1, edges_ms, counts.tolist(), p50, p99)


def _quantile(counts: NDArray[np.int64], edges: list[float], share: float) -> float | None:
    """Within a bucket as if its values were spread evenly, as Prometheus has it."""
    total = int(counts.sum())
    if not total:
        return None
    wanted = share * total
    below = np.concatenate([[0], np.cumsum(counts)])
    bucket = int(np.searchsorted(below[1:], wanted))
    if bucket >= len(edges):  # above the last edge nothing more is known
        return edges[-1]
    low = edges[bucket - 1] if bucket else 0.0
    return float(low + (edges[bucket] - low) * (wanted - below[bucket]) / counts[bucket])


def _sum(metric: Metric | None) -> int:
    samples = metric.samples if metric is not None else ()
    return int(sum(sample.value for sample in samples if sample.name.endswith("_total")))
