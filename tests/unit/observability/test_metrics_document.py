"""docs/metrics.md names what a worker exports, all of it and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from counted import NOW_MS, Counted, records
from prometheus_client import REGISTRY, Metric

import schemas
from schemas import Arm, Click, ExperimentSpec, Rule
from stream_app.degradations import Degradation

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \| ([^|]+) \|([^|]*)\| .+ \|$", re.M)
KIND = re.compile(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", re.M)


@pytest.fixture(scope="module")
def exported() -> dict[str, Metric]:
    """By the name of the document, every one with a series."""
    worker = Counted()
    treatments = worker.recommender.treatments
    treatments.rules.put("all", Rule(rule_id="all", items="true", boost=0.1))
    while treatments.rules.work():
        pass
    arms = Arm(name="a", share=0.5), Arm(name="b", share=0.5)
    treatments.experiments.put("page", ExperimentSpec(name="page", arms=arms))
    click = schemas.encode(Click(user_id="ann", item_id="item-1", timestamp_ms=NOW_MS))
    work = worker.handle(records([(b"ann", click)]))
    assert len(work.lists) == 1
    worker.look()
    usual = [one for one in REGISTRY.collect() if one.name.startswith(("process_", "python_"))]
    return {
        name + "_total" if one.type == "counter" else name: one
        for name, one in [*worker.families().items(), *((one.name, one) for one in usual)]
    }


@pytest.fixture(scope="module")
def documented() -> dict[str, re.Match[str]]:
    return {found[1]: found for found in ROW.finditer(DOCUMENT.read_text())}


def test_every_metric_is_documented(exported, documented) -> None:
    assert sorted(exported.keys() - documented.keys()) == []


def test_every_documented_metric_is_exported(exported, documented) -> None:
    assert sorted(documented.keys() - exported.keys()) == []


def test_types_and_labels_are_as_documented(exported, documented) -> None:
    for name, metric in exported.items():
        labels = {label for one in metric.samples for label in one.labels} - {"le"}
        row = documented[name]
        assert (name, row[2], set(re.findall(r"\w+", row[4]))) == (name, metric.type, labels)


def test_names_end_in_their_unit(documented) -> None:
    """As https://prometheus.io/docs/practices/naming/ wants it."""
    for name, row in documented.items():
        seconds, size = row[3] in ("seconds", "Unix seconds"), row[3] == "bytes"
        assert (name, "_seconds" in name, "_bytes" in name) == (name, seconds, size)


def test_every_kind_of_degradation_is_documented() -> None:
    assert KIND.findall(DOCUMENT.read_text()) == [kind.value for kind in Degradation]
