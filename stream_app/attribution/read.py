"""Reads lists and their feedback from the topics, one partition number after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from stream_app.attribution.join import Join
from stream_app.attribution.report import Report, Totals
from stream_app.settings import Settings
from stream_app.streaming.reading import TopicReader, topic_reader
from stream_app.streaming.topics import check, source_topics

ANY_TIME_MS = 1 << 62


class Window(NamedTuple):
    """Which lists are judged: those appended from `since_ms` to before `until_ms` (Unix ms).

    Feedback on them counts whenever it came.
    """

    since_ms: int
    until_ms: int


async def attribute(
    settings: Settings, window: Window, progress: Callable[[str, int], None] = lambda *_: None
) -> Report:
    """Join what the topics hold; `progress` is told topics and numbers of records.

    Raises `TopicsError`, `NoBrokerError` or `AccessError`, and `StalledError`.
    """
    partitions = await check(settings)
    impressions = topic_name(settings.topic_prefix, IMPRESSIONS)
    lists = topic_name(settings.topic_prefix, RECOMMENDATIONS)
    kinds = {**source_topics(settings), impressions: Impression}
    places = [(topic, number) for topic in (*kinds, lists) for number in range(partitions)]
    totals, made, rejected = Totals(), 0, 0
    unmatched: dict[str, int] = {}
    async with topic_reader(settings, places) as reader:
        for number in range(partitions):
            join = Join()
            for topic, kind in kinds.items():
                start = await _from(reader, topic, number, window.since_ms)
                end = await reader.end(topic, number)
                async for records in reader.read(topic, number, start, end):
                    rejected += _add_feedback(join, kind, records)
                    progress(topic, len(records))
            start = await _from(reader, lists, number, window.since_ms)
            end = await reader.at_time(lists, number, window.until_ms)
            async for records in reader.read(lists, number, start, end):
                rejected += _add_lists(join, records)
                progress(lists, len(records))
            totals.add(join.by_user())
            made += join.lists
            for why, count in join.unmatched.items():
                unmatched[why] = unmatched.get(why, 0) + count
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
