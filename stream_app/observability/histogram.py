"""A Prometheus histogram that takes a whole batch of values at once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class BatchHistogram(Collector):
    """Counts values in buckets with two numpy calls per batch.

    `prometheus_client.Histogram` takes one value per call, at about 2 us each: for a batch of 256
    that is half a millisecond, against some 20 us here.
    """

    def __init__(
        self, name: str, documentation: str, edges: Sequence[float], registry: CollectorRegistry
    ) -> None:
        """`edges` are the upper bounds of the buckets, rising; the last bucket, +Inf, is added."""
        self._name, self._documentation = name, documentation
        self._edges = np.array(edges, np.float64)
        self._labels = [*map(str, map(float, edges)), "+Inf"]
        self._counts = np.zeros(len(edges) + 1, np.int64)
        self._sum = 0.0
        self._lock = threading.Lock()  # a scrape is another thread
        registry.register(self)

    def observe(self, values: NDArray[np.float64]) -> None:
        """Count the values `[n]`."""
        buckets = np.searchsorted(self._edges, values)  # a value on an edge belongs below it
        counts = np.bincount(buckets, minlength=len(self._counts))
        total = float(values.sum())
        with self._lock:
            self._counts += counts
            self._sum += total

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The buckets, cumulative, as a scrape shows them."""
        with self._lock:
            cumulative, total = np.cumsum(self._counts).tolist(), self._sum
        yield HistogramMetricFamily(
            self._name,
            self._documentation,
            buckets=list(zip(self._labels, cumulative, strict=True)),
            sum_value=total,
        )
