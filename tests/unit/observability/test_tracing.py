"""Traces that begin, go on or are left alone, and a collector that is away."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from stream_app.errors import UserError
from stream_app.observability import tracing as ours
from stream_app.observability.tracing import Tracing, start_tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = PARENT[:-1] + "0"


def made(sample: float = 0.0) -> tuple[Tracing, InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    return Tracing(kept, sample, "test", "shop"), kept


def finished(tracing: Tracing, kept: InMemorySpanExporter) -> Sequence[ReadableSpan]:
    tracing.close()
    return kept.get_finished_spans()


def test_nothing_begins_by_itself() -> None:
    tracing, kept = made()
    assert tracing.send("clicks") == ([], None)
    with tracing.serve("GET /", {}, ()) as span:
        assert span is None
        assert tracing.send("clicks") == ([], None)
    assert finished(tracing, kept) == ()


def test_the_environment_names_the_trace_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", PARENT)
    tracing, kept = made()
    headers, done = tracing.send("clicks")
    assert done is not None

    async def sent() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_result(SimpleNamespace(partition=3, offset=17))
        done(future)

    asyncio.run(sent())
    (span,) = finished(tracing, kept)
    assert headers == [("traceparent", f"00-{TRACE}-{span.context.span_id:016x}-01".encode())]
    attributes = dict(span.attributes or {})
    assert attributes["messaging.kafka.offset"] == 17
    assert attributes["messaging.destination.partition.id"] == "3"


def test_a_record_that_is_not_taken_is_an_error_without_its_text() -> None:
    tracing, kept = made(sample=1.0)
    _, done = tracing.send("clicks")
    assert done is not None

    async def refused() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError("of ann"))
        done(future)

    asyncio.run(refused())
    (span,) = finished(tracing, kept)
    assert dict(span.attributes or {})["error.type"] == "ValueError"
    assert (span.status.is_ok, span.status.description) == (False, None)


@pytest.mark.parametrize("sample", [0.0, 1.0])
def test_a_request_goes_on_with_the_trace_of_its_caller(sample: float) -> None:
    tracing, kept = made(sample)
    with tracing.serve("GET /", {}, [("traceparent", PARENT.encode())]) as span:
        assert span is not None
        headers, _ = tracing.send("clicks")
    with tracing.serve("GET /", {}, [("traceparent", UNSAMPLED.encode())]) as span:
        assert span is None
        assert tracing.send("clicks") == ([("traceparent", UNSAMPLED.encode())], None)
    (served,) = finished(tracing, kept)
    assert f"{served.context.trace_id:032x}" == TRACE
    assert headers[0][1].startswith(f"00-{TRACE}-".encode())


def test_a_request_that_is_not_drawn_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tracing, kept = made(sample=0.5)
    monkeypatch.setattr(ours.random, "random", lambda: 0.9)
    with tracing.serve("GET /", {}, ()) as span:
        assert span is None
        monkeypatch.setattr(ours.random, "random", lambda: 0.1)
        ((name, value),), done = tracing.send("clicks")
        assert (name, value[-3:], done) == ("traceparent", b"-00", None)
    assert finished(tracing, kept) == ()


def test_a_handler_that_fails_is_said_by_its_type() -> None:
    tracing, kept = made(sample=1.0)
    with pytest.raises(KeyError), tracing.serve("GET /", {}, ()):
        raise KeyError("ann")
    (span,) = finished(tracing, kept)
    assert dict(span.attributes or {})["error.type"] == "KeyError"
    assert "ann" not in span.to_json()


class Away(SpanExporter):
    """A collector that takes nothing until it is `there`."""

    there = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if not self.there:
            logging.getLogger(__name__).error("connection refused")
        return SpanExportResult.SUCCESS if self.there else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        pass


def test_a_collector_that_is_away_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    collector = Away()
    exporter = ours._told_once(collector, "http://collector")
    for _ in range(3):
        exporter.export([None, None])  # type: ignore[list-item]
    collector.there = True
    exporter.export([])
    exporter.export([])
    assert [record.getMessage() for record in caplog.records] == [
        "http://collector takes no spans, they are dropped until it does: connection refused",
        "http://collector takes spans again; at least 6 are lost",
    ]


def test_switched_off_nothing_is_imported() -> None:
    script = (
        "import sys, agents.command, stream_app.cli.gateway, stream_app.cli.produce\n"
        "from stream_app.observability.tracing import start_tracing\n"
        "assert start_tracing('', 1.0, 'worker', 'shop') is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"pip install 'stream-app\[traces\]'"):
        start_tracing("http://127.0.0.1:1", 0.0, "worker", "shop")


@pytest.mark.parametrize("given", ["http://127.0.0.1:1", "http://127.0.0.1:1/"])
def test_a_bare_address_gets_the_usual_path(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        ours, "_told_once", lambda exporter, endpoint: seen.append(endpoint) or Away()
    )
    tracing = start_tracing(given, 0.0, "worker", "shop")
    assert tracing is not None
    tracing.close()
    assert seen == ["http://127.0.0.1:1/v1/traces"]


def test_a_header_for_the_collector_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Bearer hunter2")
    tracing = start_tracing("http://127.0.0.1:1", 0.0, "worker", "shop")
    assert tracing is not None
    tracing.close()
    assert "a header for the collector cannot be read" in caplog.text
    assert "hunter2" not in caplog.text


def test_the_environment_of_a_server_is_not_its_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", PARENT)
    tracing, kept = made()
    with tracing.serve("GET /", {}, ()):
        assert tracing.send("clicks") == ([], None)
    assert finished(tracing, kept) == ()
