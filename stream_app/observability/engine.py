"""The metrics of what the engine counts by itself: candidates, places, hits of rules, degradations.

Nothing is set here while batches are made: a scrape reads the engine's own counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from stream_app.degradations import degradations


class Funnel(Protocol):
    """What became of candidates, as counted since the start. From any thread."""

    @property
    def proposed(self) -> Mapping[str, int]:
        """Candidates by source."""

    @property
    def kept_out(self) -> Mapping[str, int]:
        """Candidates by what kept them out."""

    @property
    def weighed(self) -> int:
        """Candidates that nothing kept out."""

    @property
    def listed(self) -> Mapping[str, float]:
        """Places of lists by source, each in part where there are several."""


class RuleHits(Protocol):
    """What a rule in force did since it was put."""

    @property
    def rule_id(self) -> str:
        """Its name."""

    @property
    def lists(self) -> int:
        """Lists for which it held."""

    @property
    def places(self) -> int:
        """Places of lists that it touched."""


class Rules(Protocol):
    """What is in force."""

    @property
    def in_force(self) -> Sequence[RuleHits]:
        """Rules, of which there are few. From any thread."""


class EngineMetrics(Collector):
    """Part of `metrics.Metrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._engines: list[tuple[Funnel, Rules]] = []
        registry.register(self)

    def watch(self, funnel: Funnel, rules: Rules) -> None:
        """Show the counts of a recommender, added to those of others that are watched."""
        self._engines.append((funnel, rules))

    def collect(self) -> Iterable[CounterMetricFamily]:
        """The counts as they are now."""
        funnels = [funnel for funnel, _ in self._engines]
        yield _by(
            "stream_app_candidates",
            "Candidates by the source that proposed them.",
            "source",
            _sum(one.proposed for one in funnels),
        )
        yield _by(
            "stream_app_filtered",
            "Candidates kept out, by the filter that did.",
            "filter",
            _sum(one.kept_out for one in funnels),
        )
        yield CounterMetricFamily(
            "stream_app_candidates_ranked",
            "Different candidates that nothing kept out.",
            value=sum(one.weighed for one in funnels),
        )
        yield _by(
            "stream_app_list_items",
            "Places of lists by the sources that proposed the item, in equal parts.",
            "source",
            _sum(one.listed for one in funnels),
        )
        yield _by(
            "stream_app_degradations",
            "What went on with less instead of failing, by kind.",
            "kind",
            degradations(),
        )
        yield from self._of_rules()

    def _of_rules(self) -> Iterable[CounterMetricFamily]:
        lists: Counter[str] = Counter()
        places: Counter[str] = Counter()
        for _, rules in self._engines:
            for one in rules.in_force:
                lists[one.rule_id] += one.lists
                places[one.rule_id] += one.places
        yield _by("stream_app_rule_lists", "Lists for which a rule in force held.", "rule", lists)
        yield _by(
            "stream_app_rule_items", "Places of lists that a rule in force touched.", "rule", places
        )


def _by(
    name: str, documentation: str, label: str, counts: Mapping[str, float]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], round(count, 3))  # parts of places add up inexactly
    return family


def _sum(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Added up; a copy each, as the engine may be counting."""
    total: dict[str, float] = {}
    for one in counts:
        for name, count in dict(one).items():
            total[name] = total.get(name, 0) + count
    return total
