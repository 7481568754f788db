"""The metrics of what operators say while workers run: scenarios, rules, experiments."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

MOST_ARMS = 500
"""Arms with a series: those of as many experiments as may run at a time. Experiments end and others
begin for as long as a worker lives; the arms that had no list for the longest time go first."""


class ControlMetrics:
    """Set from time to time; part of `metrics.Metrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._in_force = Gauge(
            "stream_app_control_in_force",
            "What operators said that is in force, by the topic it came on.",
            ["topic"],
            registry=registry,
        )
        self._refused = Gauge(
            "stream_app_control_refused",
            "Names whose newest record could not be taken up, and records that name nothing.",
            ["topic"],
            registry=registry,
        )
        self._used: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._arms = Counter(
            "stream_app_experiment_lists",
            "Lists published, by experiment and the arm that they are of.",
            ["experiment", "arm"],
            registry=registry,
        )

    def arms(self, lists: Mapping[tuple[str, str], int]) -> None:
        """So many lists more, by experiment and arm."""
        for labels, count in lists.items():
            self._arms.labels(*labels).inc(count)
            self._used[labels] = None
            self._used.move_to_end(labels)
        while len(self._used) > MOST_ARMS:
            self._arms.remove(*self._used.popitem(last=False)[0])

    def seen(self, topic: str, in_force: int, refused: int) -> None:
        """As just seen; `topic` is without prefix."""
        self._in_force.labels(topic).set(in_force)
        self._refused.labels(topic).set(refused)
