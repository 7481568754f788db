"""The check: partition number by partition number, read and judged."""

from __future__ import annotations

import time
from collections.abc import Callable

from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.reading import committed_offsets, topic_reader
from stream_app.streaming.topics import TopicsError, source_topics
from stream_app.verify.gather import Gatherer, topics_read
from stream_app.verify.judge import Judge
from stream_app.verify.report import Report
from stream_app.verify.scope import Scope

Progress = Callable[[str, int], None]
"""Called with a topic's name and a number of records, as they come."""


def _silent(_topic: str, _records: int) -> None:
    pass


async def verify(
    settings: Settings, scope: Scope | None = None, progress: Progress = _silent
) -> Report:
    """Check an installation, without a trace on the cluster.

    Raises `TopicsError` for missing topics or a group that has committed nothing, `NoBrokerError`,
    `ScopeError`, `StalledError`, and errors of the Kafka client.
    """
    began = time.monotonic()
    scope = scope or Scope()
    partitions = await topics.check(settings)
    numbers = scope.numbers(partitions)
    report = Report(scope.settled, scope.show_users, scope.examples)
    names = {f"{topic}/{number}" for topic in source_topics(settings) for number in numbers}
    places = [(topic, number) for topic in topics_read(settings) for number in numbers]
    async with topic_reader(settings, places) as reader:
        gatherer = Gatherer(settings, scope, reader, report, progress)
        for number in numbers:
            commits = await committed_offsets(settings)
            if not scope.settled and not commits:
                raise TopicsError(
                    f"group {settings.app_id!r} has no committed offsets, so there is nothing to "
                    "check yet; is app_id right? (--settled checks all events all the same)"
                )
            newest = None if scope.max_events is None else max(1, scope.max_events // len(names))
            found = await gatherer.gather(number, commits, newest)
            Judge(found, partitions, report, strict=scope.strict).judge()
    report.seconds = time.monotonic() - began
    return report
