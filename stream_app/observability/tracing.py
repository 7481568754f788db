"""Spans to an OpenTelemetry collector, and traces that go through the headers of Kafka's records.

The context of a trace travels as W3C Trace Context says (`traceparent`, `tracestate`); names and
attributes of spans follow OpenTelemetry's semantic conventions for messaging. OpenTelemetry is an
extra, imported when traces are switched on. What it costs is bounded: spans wait in a queue of a
limited size, a thread of their own sends them, and what does not fit or is not taken is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from stream_app.errors import UserError
from stream_app.observability.trace_context import Headers, carried

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, SpanContext, Tracer

log = logging.getLogger(__name__)

SEND_TIMEOUT_S = 5.0
"""After this a collector that does not answer has lost the spans of a request."""
CLOSE_S = 2.0
"""What the last spans may take when the process ends; an orchestrator waits for the process."""
QUEUE = 4096
"""Spans that may wait, some MB."""


class Tracing:
    """Makes spans; from any thread."""

    def __init__(self, exporter: SpanExporter, sample: float, service: str, app_id: str) -> None:
        """Of what begins here without a trace, a share `sample` (0 to 1) gets one."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        about = {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", service),
            "service.namespace": app_id,
            "service.version": version("stream-app"),
            "service.instance.id": str(uuid4()),
        }
        # Whether there is a span at all is decided here, before it is made.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create(about), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE))
        self.tracer: Tracer = self._provider.get_tracer("stream_app", version("stream-app"))
        self._format = TraceContextTextMapPropagator()
        self._sample = sample
        self._outside = self.read((("traceparent", os.environ.get("TRACEPARENT", "").encode()),))

    def close(self) -> None:
        """Send what waits, for at most `CLOSE_S`; a collector that is away keeps nobody."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(CLOSE_S)

    def draw(self) -> bool:
        """Whether a trace begins with something that has none."""
        return self._sample > 0 and random.random() < self._sample  # noqa: S311 - no secret

    def read(self, headers: Headers) -> Context | None:
        """The context in the headers of a record or a request; None without a valid one."""
        found = carried(headers)
        if found is None:
            return None
        carrier = {name: value.decode("latin-1") for name, value in found.headers}
        context = self._format.extract(carrier, nothing())
        return context if span_of(context).is_valid else None

    def write(self, context: Context) -> list[tuple[str, bytes]]:
        """Headers that carry a context."""
        carrier: dict[str, str] = {}
        self._format.inject(carrier, context)
        return [(name, value.encode("latin-1")) for name, value in carrier.items()]

    def send(self, topic: str) -> tuple[list[tuple[str, bytes]], Callable[[Any], None] | None]:
        """The headers of a record that is sent now, and what is to be called when it is.

        Part of the current trace, or of the one that `TRACEPARENT` in the environment names.
        """
        from opentelemetry.trace import SpanKind, set_span_in_context

        context = current() or self._outside
        if context is None and not self.draw():
            return [], None
        if context is not None and not sampled(context):
            return self.write(context), None
        span = self.tracer.start_span(
            f"send {topic}", context or nothing(), SpanKind.PRODUCER, sending(topic)
        )
        return self.write(set_span_in_context(span, nothing())), partial(_sent, span)

    @contextmanager
    def serve(self, name: str, about: Mapping[str, str], headers: Headers) -> Iterator[Span | None]:
        """The span of a request from outside, current for the block; None where none is kept.

        `headers` are those of the request: the trace that they name goes on.
        """
        from opentelemetry.trace import SpanKind, use_span

        self._outside = None  # what a server does belongs to its callers
        context = self.read(headers)
        if context is None and not self._sample:
            yield None  # whether a trace begins is for others to say
        elif self.draw() if context is None else sampled(context):
            span = self.tracer.start_span(name, context or nothing(), SpanKind.SERVER, about)
            # What went wrong is said by its type: its text could name a user.
            with use_span(span, True, record_exception=False, set_status_on_exception=False):
                try:
                    yield span
                except BaseException as error:
                    span.set_attribute("error.type", type(error).__qualname__)
                    raise
        else:
            with use_span(_unsampled(context)):
                yield None


def start_tracing(endpoint: str, sample: float, service: str, app_id: str) -> Tracing | None:
    """Spans of a `service` to an endpoint; None where it is empty.

    Raises UserError when the extra is not installed.
    """
    if not endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise UserError(
            f"trace_endpoint is set, but {error.name} is not installed: "
            "pip install 'stream-app[traces]'"
        ) from None
    if urlsplit(endpoint).path in ("", "/"):
        endpoint = endpoint.rstrip("/") + "/v1/traces"
    logging.getLogger("opentelemetry.util.re").addFilter(_without_header)
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=SEND_TIMEOUT_S)
    return Tracing(_told_once(exporter, endpoint), sample, service, app_id)


def current() -> Context | None:
    """The context of the trace that is going on here; None without one."""
    from opentelemetry.context import get_current
    from opentelemetry.trace import get_current_span

    return get_current() if get_current_span().get_span_context().is_valid else None


def sampled(context: Context) -> bool:
    """Whether spans are kept of the trace of a context."""
    return bool(span_of(context).trace_flags.sampled)


def span_of(context: Context) -> SpanContext:
    """The span that a context names."""
    from opentelemetry.trace import get_current_span

    return get_current_span(context).get_span_context()


def _unsampled(context: Context | None) -> Span:
    """A span of which nothing is kept, and that says so to whoever comes after."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.trace import NonRecordingSpan, SpanContext

    if context is not None:
        return NonRecordingSpan(span_of(context))
    ids = RandomIdGenerator()
    return NonRecordingSpan(SpanContext(ids.generate_trace_id(), ids.generate_span_id(), False))


def _sent(span: Span, sent: asyncio.Future[Any]) -> None:
    """End the span of a record that the broker has, or does not take."""
    from opentelemetry.trace import StatusCode

    error = None if sent.cancelled() else sent.exception()
    if error is not None:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(StatusCode.ERROR)
    elif not sent.cancelled():
        placed = sent.result()
        span.set_attribute("messaging.destination.partition.id", str(placed.partition))
        span.set_attribute("messaging.kafka.offset", placed.offset)
    span.end()


def sending(topic: str) -> dict[str, str]:
    """Attributes of the span of a record that is sent. Its key would be the user."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
    }


def nothing() -> Context:
    """Not the current context, whatever that is."""
    from opentelemetry.context import Context

    return Context()


def _told_once(exporter: SpanExporter, endpoint: str) -> SpanExporter:
    """An exporter that says once that the collector is away, and once that it is back."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    reasons = _Kept()
    logging.getLogger(type(exporter).__module__).addFilter(reasons)
    # It says that the queue is full for each span that is lost.
    logging.getLogger("opentelemetry.sdk._shared_internal").setLevel(logging.CRITICAL)

    class Telling(SpanExporter):
        lost = 0

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            reasons.first = ""
            result = exporter.export(spans)
            if result is not SpanExportResult.SUCCESS:
                if not self.lost:
                    log.warning("%s takes no spans, they are dropped until it does: %s",
                                endpoint, reasons.first)  # fmt: skip
                self.lost += len(spans)
            elif self.lost:
                log.warning("%s takes spans again; at least %d are lost", endpoint, self.lost)
                self.lost = 0
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    return Telling()


def _without_header(record: logging.LogRecord) -> bool:
    """OpenTelemetry logs a header that it cannot read, and with it a token."""
    record.msg = "a header for the collector cannot be read; write name=value,name=value"
    record.args = ()
    return True


class _Kept(logging.Filter):
    """Keeps the first message of a logger to itself: the others follow from it."""

    first = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.first = self.first or record.getMessage()
        return False
