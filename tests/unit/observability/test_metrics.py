"""The metrics count what happened, under the names that dashboards use."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from sample_bundle import write_sample_bundle

from stream_app.bundle import load_bundle
from stream_app.observability.histogram import BatchHistogram, LabelledHistogram
from stream_app.observability.metrics import LATENCY_EDGES_S, Metrics
from stream_app.streaming.probe import Snapshot

NOW = 1_000.0
EDGES = (0.5, 2.0)
LATENCY = "stream_app_feedback_to_recommendation_seconds"


@dataclass
class Work:
    outcomes: dict = field(default_factory=dict)
    reasons: dict = field(default_factory=dict)
    stages: dict = field(default_factory=dict)
    lists: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    appended_ms: list = field(default_factory=list)
    asked_ms: list = field(default_factory=list)
    receipts: list = field(default_factory=list)
    arms: dict = field(default_factory=dict)
    rows: list = field(default_factory=list)
    unanswered: int = 0


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return Metrics(registry, clock=lambda: NOW)


def ago(seconds: float) -> int:
    return int((NOW - seconds) * 1000)


@given(st.lists(st.floats(0, 20) | st.sampled_from(LATENCY_EDGES_S)))
def test_a_batch_histogram_is_the_histogram_of_its_values(values):
    ours, few, theirs = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    batched = BatchHistogram("h", "Help.", LATENCY_EDGES_S, ours)
    single_by_single = BatchHistogram("h", "Help.", LATENCY_EDGES_S, few)
    single = Histogram("h", "Help.", buckets=LATENCY_EDGES_S, registry=theirs)
    for part in np.array_split(np.array(values), 3):
        batched.observe(part)
        single_by_single.observe_few(part.tolist())
    for value in values:
        single.observe(value)
    expected = [line for line in generate_latest(theirs).splitlines() if b"_created" not in line]
    for one in (ours, few):
        found = generate_latest(one).splitlines()
        assert [line for line in found if b"_sum" not in line] == [
            line for line in expected if b"_sum" not in line
        ]
        total = one.get_sample_value("h_sum")
        assert total == pytest.approx(theirs.get_sample_value("h_sum"))


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(0, 20) | st.sampled_from(EDGES))))
def test_a_labelled_histogram_is_the_histogram_of_its_values(batches):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    batched = LabelledHistogram("h", "Help.", "of", EDGES, ours)
    single = Histogram("h", "Help.", ["of"], buckets=EDGES, registry=theirs)
    for values in batches:
        batched.observe(values)
        for label, value in values.items():
            single.labels(label).observe(value)
    expected = [line for line in generate_latest(theirs).splitlines() if b"_created" not in line]
    assert generate_latest(ours).splitlines() == expected


def test_a_batch_is_counted(registry, metrics):
    work = Work(
        outcomes={("clicks", "applied"): 3, ("purchases", "late"): 1, ("clicks", "dead_letter"): 1},
        reasons={"decode_error": 1},
        stages={"encode": 0.002, "publish": 0.004},
        lists=["ann", "bob"],
        receipts=["cid"],
        arms={("page", "calm"): 2},
        unanswered=1,
        appended_ms=[ago(0.02), ago(0.02), ago(0.02), ago(0.2), ago(3)],
    )
    metrics.batch(work, events=5)
    work.appended_ms = [ago(0.02)] * 5
    metrics.batch(work, events=5)

    def value(name, **labels):
        return registry.get_sample_value(name, labels)

    assert value("stream_app_events_total", topic="clicks", outcome="applied") == 6
    assert value("stream_app_events_total", topic="purchases", outcome="late") == 2
    assert value("stream_app_dead_letters_total", reason="decode_error") == 2
    assert value("stream_app_recommendations_total") == 4
    assert value("stream_app_experiment_lists_total", experiment="page", arm="calm") == 4
    assert value("stream_app_coalesced_total") == 4
    assert value("stream_app_erasures_total") == 2
    assert value("stream_app_batch_size_bucket", le="4.0") == 0
    assert value("stream_app_batch_size_bucket", le="8.0") == 2
    assert value("stream_app_stage_seconds_count", stage="encode") == 2
    assert value("stream_app_stage_seconds_sum", stage="publish") == pytest.approx(0.008)
    assert value(f"{LATENCY}_bucket", le="0.015") == 0
    assert value(f"{LATENCY}_bucket", le="0.025") == 8
    assert value(f"{LATENCY}_bucket", le="0.25") == 9
    assert value(f"{LATENCY}_count") == 10
    assert value(f"{LATENCY}_sum") == pytest.approx(0.02 * 8 + 0.2 + 3, abs=0.01)


def test_an_answer_counts_as_a_list_and_has_a_latency_of_its_own(registry, metrics):
    metrics.batch(Work(answers=["ann"], asked_ms=[ago(0.02)]), events=1)
    assert registry.get_sample_value("stream_app_recommendations_total") == 1
    assert registry.get_sample_value("stream_app_coalesced_total") == 0
    assert registry.get_sample_value(f"{LATENCY}_count") == 0
    asked = "stream_app_request_to_recommendation_seconds"
    assert registry.get_sample_value(f"{asked}_bucket", {"le": "0.025"}) == 1
    assert registry.get_sample_value(f"{asked}_count") == 1


def test_a_clock_that_runs_behind_the_broker_counts_as_no_time(registry, metrics):
    metrics.batch(Work(appended_ms=[ago(-5)]), events=1)
    assert registry.get_sample_value(f"{LATENCY}_sum") == 0


@pytest.mark.parametrize("edge", [0.001, 0.01, 0.025, 0.05, 0.1, 10.0])
def test_the_latency_has_an_edge_at_every_objective(edge):
    assert edge in LATENCY_EDGES_S


def test_the_release_that_serves_is_shown_alone(registry, metrics, tmp_path):
    first = load_bundle(write_sample_bundle(tmp_path / "first"))
    second = load_bundle(write_sample_bundle(tmp_path / "second", items=30))
    metrics.release(first)
    metrics.release(second)
    labels = {"name": "sample", "version": "1", "backend": "onnxruntime-cpu"}
    assert registry.get_sample_value("stream_app_release_info", labels) == 1
    created = registry.get_sample_value("stream_app_release_created_timestamp_seconds")
    assert created == second.manifest.created_at.timestamp() == 1767323045
    assert registry.get_sample_value("stream_app_index_size") == 30


def test_a_backend_that_was_replaced_is_shown(registry, metrics, tmp_path):
    bundle = load_bundle(write_sample_bundle(tmp_path / "first"))
    metrics.release(bundle)
    bundle.encoder.backend = "another"
    metrics.progress(Snapshot())
    labels = {"name": "sample", "version": "1"}
    shown = [
        registry.get_sample_value("stream_app_release_info", labels | {"backend": backend})
        for backend in ("onnxruntime-cpu", "another")
    ]
    assert shown == [None, 1]


def test_two_workers_in_one_process_need_two_registries(registry, metrics):
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Metrics(registry)
