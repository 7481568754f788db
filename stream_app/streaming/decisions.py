"""Reads from the topics what a list was made from, and what went before it; read-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import schemas
from schemas import (
    DECISIONS,
    RECOMMENDATIONS,
    Click,
    Decision,
    Purchase,
    Recommendation,
    RejectedMessage,
    decode_output,
    topic_name,
)
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.source_messages import SourceMessage
from stream_app.streaming import topics
from stream_app.streaming.reading import TopicReader, topic_reader
from stream_app.streaming.topics import not_for_workers, source_topics
from stream_app.users.codec import decode_state
from stream_app.users.state import UserState

BESIDE_MS = 60_000
"""A list is published together with its decision."""


class NoDecisionError(UserError):
    """The decision is not on the topic."""


class StoredDecision(NamedTuple):
    """What was found of a list."""

    decision: Decision
    published: Recommendation | None
    """The list; None when it is not on its topic any more."""
    before: UserState | None
    """The user's row as the decision before has it; None where there is none."""
    events: tuple[SourceMessage, ...]
    """The user's events that came into the row since then, as they were appended."""


async def read_decision(settings: Settings, rec_id: str, user_id: str | None) -> StoredDecision:
    """Find a decision by the id of its list; with `user_id` only one partition is read.

    Raises `NoDecisionError`, `TopicsError`, `NoBrokerError`, `AccessError`, `StalledError`.
    """
    partitions = await topics.check(settings, without=not_for_workers(settings))
    kept = topic_name(settings.topic_prefix, DECISIONS)
    lists = topic_name(settings.topic_prefix, RECOMMENDATIONS)
    sources = source_topics(settings)
    numbers = range(partitions)
    if user_id is not None:
        number = topics.partitioner(partitions)(user_id.encode())
        numbers = range(number, number + 1)
    places = [(topic, number) for topic in (kept, lists, *sources) for number in numbers]
    async with topic_reader(settings, places) as reader:
        for number in numbers:
            found = await _decisions(reader, kept, number, rec_id)
            if found is None:
                continue
            record, decision, before = found
            published = await _published(reader, lists, number, rec_id, record.timestamp)
            events = await _events(reader, settings, number, decision, before)
            return StoredDecision(decision, published, before, events)
    raise NoDecisionError(
        f"no decision of list {rec_id!r} is on {kept}: check the id, and that the worker ran with "
        "the setting `decisions` above 0 when it made the list"
    )


async def _decisions(
    reader: TopicReader, topic: str, number: int, rec_id: str
) -> tuple[Any, Decision, UserState | None] | None:
    """The record, the decision, and the row of the last one before it of the same user."""
    last: dict[bytes, bytes] = {}
    start, end = await reader.begin(topic, number), await reader.end(topic, number)
    async for records in reader.read(topic, number, start, end):
        for record in records:
            try:
                decision = decode_output(Decision, record.value)
            except RejectedMessage:
                continue
            if decision.rec_id == rec_id:
                row = last.get(record.key)
                return record, decision, None if row is None else decode_state(row)
            if decision.request is None:  # the row of a request may have seed items in it
                last[record.key] = decision.row
    return None


async def _published(
    reader: TopicReader, topic: str, number: int, rec_id: str, at_ms: int
) -> Recommendation | None:
    start = await reader.at_time(topic, number, max(0, at_ms - BESIDE_MS))
    end = await reader.at_time(topic, number, at_ms + BESIDE_MS)
    async for records in reader.read(topic, number, start, end):
        for record in records:
            try:
                made = decode_output(Recommendation, record.value)
            except RejectedMessage:
                continue
            if made.rec_id == rec_id:
                return made
    return None


async def _events(
    reader: TopicReader,
    settings: Settings,
    number: int,
    decision: Decision,
    before: UserState | None,
) -> tuple[SourceMessage, ...]:
    """Events of the user between the row before and that of the decision."""
    found: list[tuple[int, SourceMessage]] = []
    user, offsets = decision.user_id.encode(), decode_state(decision.row).offsets
    known = {} if before is None else before.offsets
    for topic, kind in source_topics(settings).items():
        source = f"{topic}/{number}"
        if source not in offsets:
            continue
        start = max(known.get(source, -1) + 1, await reader.begin(topic, number))
        async for records in reader.read(topic, number, start, offsets[source] + 1):
            found += _of_user(kind, user, records)
    found.sort(key=lambda one: one[0])
    return tuple(message for _, message in found)


def _of_user(kind: Any, user: bytes, records: Sequence[Any]) -> list[tuple[int, SourceMessage]]:
    """The valid events of a user, with when they were appended."""
    found = []
    for record in records:
        if record.key != user:
            continue
        try:
            event: Click | Purchase = schemas.decode(
                kind, record.value, key=record.key, now_ms=record.timestamp
            )
        except RejectedMessage:
            continue
        message = SourceMessage(event, record.topic, record.partition, record.offset)
        found.append((record.timestamp, message))
    return found
