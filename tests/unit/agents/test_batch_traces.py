"""Spans of a batch: which there are, below what, linked to what, and what lists carry on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from test_engine import click, load, make_engine, no_rows
from test_requests import request

from agents import batch_traces
from agents.batch_traces import BatchTraces
from agents.records import Record, Work
from stream_app.observability.tracing import Tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01".encode()
UNSAMPLED = PARENT[:-1] + b"0"


class Traced:
    """Traces of one batch, kept in memory."""

    def __init__(self, sample: float = 0.0) -> None:
        self._kept = InMemorySpanExporter()
        self._tracing = Tracing(self._kept, sample, "test", "shop")
        self._engine = make_engine(load())

    def work(self, *records: Record) -> Work:
        work = self._engine.work(list(records), no_rows(records))
        began_ns = time.time_ns()
        trace = BatchTraces(self._tracing, "shop").of(records, work, began_ns)
        if trace is not None:
            work.stages["publish"] = 0.001
            trace.finish(work.stages)
        return work

    def spans(self) -> list[ReadableSpan]:
        self._tracing.close()
        return list(self._kept.get_finished_spans())


@pytest.fixture
def traced() -> Iterator[Traced]:
    made = Traced()
    yield made
    made.spans()


def of_trace(record: Record, *headers: bytes) -> Record:
    return record._replace(headers=tuple(("traceparent", header) for header in headers))


def test_without_headers_there_is_nothing(traced: Traced) -> None:
    work = traced.work(click("ann", 318, 0))
    assert [one.headers for one in work.lists] == [()]
    assert traced.spans() == []


def test_a_list_goes_on_with_the_trace_of_its_trigger(traced: Traced) -> None:
    records = [
        of_trace(click("ann", 318, 0), UNSAMPLED),
        of_trace(click("bob", 318, 1), PARENT),
        click("cid", 318, 2),
        of_trace(request("dan", 3), PARENT),
    ]
    work = traced.work(*records)
    spans = traced.spans()
    carried = [dict(one.headers).get("traceparent") for one in (*work.lists, *work.answers)]
    created = [one for one in spans if one.name == "create recommendations"]
    own = [f"00-{TRACE}-{one.context.span_id:016x}-01".encode() for one in created]
    assert carried == [UNSAMPLED, own[0], None, own[1]]
    assert {one.parent and one.parent.span_id for one in created} == {0x00F067AA0BA902B7}
    assert [dict(one.attributes or {})["messaging.message.id"] for one in created] == [
        work.made[1].rec_id,
        work.made[3].rec_id,
    ]
    (batch,) = [one for one in spans if one.name == "process"]
    assert [dict(link.attributes or {})["messaging.kafka.offset"] for link in batch.links] == [1, 3]
    assert all(one.links[0].context == batch.context for one in created)


def test_stages_follow_each_other_within_the_batch(traced: Traced) -> None:
    traced.work(of_trace(click("ann", 318, 0), PARENT))
    spans = {one.name: one for one in traced.spans()}
    batch = spans["process clicks"]
    stages = [spans[name] for name in ("decode", "apply", "encode", "retrieve", "rank", "build")]
    for one, following in zip(stages, [*stages[1:], spans["publish"]], strict=True):
        assert one.parent == batch.context
        assert one.start_time is not None
        assert one.end_time is not None
        assert following.start_time is not None
        assert one.start_time <= one.end_time <= following.start_time


@pytest.mark.parametrize(
    "header",
    [b"", b"00-", b"\xff" * 55, b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01", PARENT * 20, None],
)
def test_a_header_that_is_no_context_is_as_none(traced: Traced, header: bytes) -> None:
    work = traced.work(of_trace(click("ann", 318, 0), header))
    assert work.lists[0].headers == ()
    assert traced.spans() == []


def test_a_share_of_what_has_no_trace_gets_one() -> None:
    traced = Traced(sample=1.0)
    work = traced.work(click("ann", 318, 0), of_trace(click("bob", 318, 1), UNSAMPLED))
    spans = traced.spans()
    (created,) = [one for one in spans if one.name == "create recommendations"]
    assert created.parent is None
    (batch,) = [one for one in spans if one.name == "process clicks"]
    assert batch.links == ()
    assert created.links[0].context == batch.context
    ids = f"00-{created.context.trace_id:032x}-{created.context.span_id:016x}-".encode()
    first, second = [dict(one.headers)["traceparent"] for one in work.lists]
    assert first[:-2] == ids
    assert first[-1:] in b"13"  # sampled, and perhaps random ids
    assert second == UNSAMPLED


def test_links_and_lists_with_spans_are_bounded(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_traces, "LIMIT", 2)
    work = traced.work(*(of_trace(click(f"u{n}", 318, n), PARENT) for n in range(5)))
    spans = traced.spans()
    assert len([one for one in spans if one.name == "create recommendations"]) == 2
    (batch,) = [one for one in spans if one.name == "process clicks"]
    assert len(batch.links) == 2
    headers = [dict(one.headers)["traceparent"] for one in work.lists]
    assert PARENT not in headers[:2]
    assert headers[2:] == [PARENT] * 3
