"""The metrics of what operators say while workers run: scenarios, rules, experiments."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge


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

    def seen(self, topic: str, in_force: int, refused: int) -> None:
        """As just seen; `topic` is without prefix."""
        self._in_force.labels(topic).set(in_force)
        self._refused.labels(topic).set(refused)
