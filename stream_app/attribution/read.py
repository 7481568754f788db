"""Reads lists and their feedback from the topics, one partition number after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import schemas
from schemas import (
    IMPRESSIONS,
    RECOMMENDATIONS,
    Click,
    Impression,
    Purchase,
    Recommendation,
    RejectedMessage,
    topic_name,
)
from stream_app.attribution.join import Join, Observe
from stream_app.attribution.report import Report, Totals
from stream_app.settings import Settings
from stream_app.streaming.reading import TopicReader, topic_reader
from stream_app.streaming.topics import check, source_topics

ANY_TIME_MS = 1 << 62
Progress = Callable[[str, int], None]


class Window(NamedTuple):
    """Which lists are judged: those appended from `since_ms` to before `until_ms` (Unix ms).

    Feedback on them counts whenever it came.
    """

    since_ms: int
    until_ms: int


@dataclass(slots=True)
class Joined:
    """What was read of one partition number."""

    join: Join
    rejected: int = 0
    """Records that are no messages."""


async def attribute(
    settings: Settings,
    window: Window,
    progress: Progress = lambda *_: None,
    observe: Observe | None = None,
) -> Report:
    """Join what the topics hold; `progress` is told topics and numbers of records.

    `observe` is told of every item. Raises `TopicsError`, `NoBrokerError` or `AccessError`, and
    `StalledError`.
    """
    totals, made, rejected = Totals(), 0, 0
    unmatched: Counter[str] = Counter()
    async for part in joined(settings, window, progress, observe):
        totals.add(part.join.by_user())
        made += part.join.lists
        rejected += part.rejected
        unmatched.update(part.join.unmatched)
    return Report(
        since_ms=window.since_ms,
        until_ms=window.until_ms,
        lists=made,
        users=totals.users,
        per=("made", "shown")[totals.per()],
        rows=totals.rows(),
        unmatched={why: count for why, count in sorted(unmatched.items()) if count},
        rejected=rejected,
    )


async def joined(
    settings: Settings,
    window: Window,
    progress: Progress = lambda *_: None,
    observe: Observe | None = None,
) -> AsyncIterator[Joined]:
    """Lists and feedback of one partition number after the other: a user is in no two of them.

    Arguments and errors are those of `attribute`.
    """
    partitions = await check(settings)
    impressions = topic_name(settings.topic_prefix, IMPRESSIONS)
    lists = topic_name(settings.topic_prefix, RECOMMENDATIONS)
    kinds = {**source_topics(settings), impressions: Impression}
    places = [(topic, number) for topic in (*kinds, lists) for number in range(partitions)]
    async with topic_reader(settings, places) as reader:
        for number in range(partitions):
            part = Joined(Join(observe))
            for topic, kind in kinds.items():
                start = await _from(reader, topic, number, window.since_ms)
                end = await reader.end(topic, number)
                async for records in reader.read(topic, number, start, end):
                    part.rejected += _add_feedback(part.join, kind, records)
                    progress(topic, len(records))
            start = await _from(reader, lists, number, window.since_ms)
            end = await reader.at_time(lists, number, window.until_ms)
            async for records in reader.read(lists, number, start, end):
                part.rejected += _add_lists(part.join, records)
                progress(lists, len(records))
            yield part


async def _from(reader: TopicReader, topic: str, number: int, since_ms: int) -> int:
    start = await reader.at_time(topic, number, since_ms)
    return max(start, await reader.begin(topic, number))


def _add_feedback(join: Join, kind: type, records: Sequence[Any]) -> int:
    """Add what is valid; returns how many are not."""
    rejected = 0
    for record in records:
        try:
            if kind is Impression:
                event: Click | Purchase | Impression = schemas.decode_impression(
                    record.value, key=record.key
                )
            elif kind is Purchase:
                event = schemas.decode(Purchase, record.value, key=record.key, now_ms=ANY_TIME_MS)
            else:
                event = schemas.decode(Click, record.value, key=record.key, now_ms=ANY_TIME_MS)
        except RejectedMessage:
            rejected += 1
            continue
        join.add_feedback(event)
    return rejected


def _add_lists(join: Join, records: Sequence[Any]) -> int:
    rejected = 0
    for record in records:
        try:
            join.add_list(schemas.decode_output(Recommendation, record.value))
        except RejectedMessage:
            rejected += 1
    return rejected
