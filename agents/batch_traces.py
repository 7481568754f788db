"""The spans of a batch, made when it is computed: nothing here runs for each event as it comes.

A batch is one span, linked to the spans that its sampled records came from; below it are its
stages. Every list of a sampled record is a span in the trace of that record, linked to the batch,
and its record on Kafka carries that span on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agents.records import Headers, Outgoing, Record, Work
from stream_app.observability.trace_context import Carried, carried
from stream_app.observability.tracing import Tracing, nothing, sending, span_of

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

LIMIT = 128
"""Links of a batch, and lists with a span of their own; OpenTelemetry keeps no more links."""

STAGES = ("decode", "apply", "encode", "retrieve", "rank")
"""Their order in time; what else there is comes after them."""

Place = tuple[str, int, int]


class BatchTrace:
    """The spans of one batch, open until `finish`; a batch that is abandoned sends none."""

    def __init__(self, tracing: Tracing, batch: Span, lists: Sequence[Span], done_ns: int) -> None:
        """The lists are computed at `done_ns` (Unix ns)."""
        self._tracing = tracing
        self._batch = batch
        self._lists = lists
        self._done_ns = done_ns
        self.trace_id = f"{batch.get_span_context().trace_id:032x}"

    def finish(self, stages: Mapping[str, float]) -> None:
        """The broker has everything; `stages` are seconds as in `Work`.

        A stage runs in several parts: its span has the length of all, and the spans follow each
        other up to the time at which the lists were computed.
        """
        from opentelemetry.trace import SpanKind, set_span_in_context

        now_ns = time.time_ns()
        inside = set_span_in_context(self._batch, nothing())
        engine = {name: stages[name] for name in STAGES if name in stages}
        engine |= {name: spent for name, spent in stages.items() if name != "publish"}
        start_ns = self._done_ns - round(1e9 * sum(engine.values()))
        for name, seconds in engine.items():
            span = self._tracing.tracer.start_span(name, inside, start_time=start_ns)
            start_ns += round(1e9 * seconds)
            span.end(start_ns)
        publish = self._tracing.tracer.start_span(
            "publish", inside, SpanKind.CLIENT, start_time=self._done_ns
        )
        for span in (publish, *self._lists, self._batch):
            span.end(now_ns)


class BatchTraces:
    """Makes the spans of batches, and puts the contexts of traces into the headers of lists."""

    def __init__(self, tracing: Tracing, group: str) -> None:
        """`group` is the consumer group."""
        self._tracing = tracing
        self._group = group

    def of(self, records: Sequence[Record], work: Work, began_ns: int) -> BatchTrace | None:
        """Trace a batch whose lists have just been computed; None where nothing is sampled.

        `began_ns` is when it was taken, Unix ns. Changes the headers of the lists and answers in
        `work`.
        """
        done_ns = time.time_ns()
        found: dict[Place, Carried] = {}
        for record in records:
            if record.headers and (one := carried(record.headers)) is not None:
                found[record.topic, record.partition, record.offset] = one
        sampled = [(place, one) for place, one in found.items() if one.sampled][:LIMIT]
        contexts = {
            place: context
            for place, one in sampled
            if (context := self._tracing.read(one.headers)) is not None
        }
        parents: dict[int, Context | None] = {}
        for index, made in enumerate(work.made):
            place = made[2:]
            if (one := found.get(place)) is not None:
                self._set_headers(work, index, one.headers)
            if place in contexts or (one is None and self._tracing.draw()):
                parents[index] = contexts.get(place)
        if not contexts and not parents:
            return None
        batch = self._batch_span(records, contexts, began_ns)
        spans = [
            self._list_span(work, index, parent, batch, began_ns)
            for index, parent in list(parents.items())[:LIMIT]
        ]
        return BatchTrace(self._tracing, batch, spans, done_ns)

    def _set_headers(self, work: Work, index: int, headers: Headers) -> None:
        lists, at = _record_of(work, index)
        lists[at] = lists[at]._replace(headers=headers)

    def _batch_span(
        self, records: Sequence[Record], links: Mapping[Place, Context], began_ns: int
    ) -> Span:
        from opentelemetry.trace import Link, SpanKind

        topics = {record.topic for record in records}
        about: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": self._group,
            "messaging.batch.message_count": len(records),
        }
        if len(topics) == 1:
            about["messaging.destination.name"] = records[0].topic
        return self._tracing.tracer.start_span(
            f"process {records[0].topic}" if len(topics) == 1 else "process",
            nothing(),
            SpanKind.CONSUMER,
            about,
            [Link(span_of(one), _place(*at)) for at, one in links.items()],
            began_ns,
        )

    def _list_span(
        self, work: Work, index: int, parent: Context | None, batch: Span, began_ns: int
    ) -> Span:
        from opentelemetry.trace import Link, SpanKind, set_span_in_context

        lists, at = _record_of(work, index)
        span = self._tracing.tracer.start_span(
            f"create {lists[at].topic}",
            parent or nothing(),
            SpanKind.PRODUCER,
            {
                **sending(lists[at].topic),
                "messaging.operation.name": "create",
                "messaging.operation.type": "create",
                "messaging.destination.partition.id": str(lists[at].partition),
                "messaging.message.id": work.made[index].rec_id,
            },
            [Link(batch.get_span_context())],
            began_ns,
        )
        context = set_span_in_context(span, nothing())
        self._set_headers(work, index, self._tracing.write(context))
        return span


def _record_of(work: Work, index: int) -> tuple[list[Outgoing], int]:
    """Where the record of a list of `work.made` is: among the lists or the answers."""
    if index < len(work.lists):
        return work.lists, index
    return work.answers, index - len(work.lists)


def _place(topic: str, partition: int, offset: int) -> dict[str, str | int]:
    return {
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
    }
