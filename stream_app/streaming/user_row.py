"""Reads what the topics hold of one user: the row, and the list that was sent with it; read-only.

A user's records are all on one partition number, the one that Kafka's own partitioner chooses for
the key. The changelog is compacted, so its partition holds about one row for each of its users;
all of them have to be read to find one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas import (
    ERASURES,
    RECOMMENDATIONS,
    Recommendation,
    RejectedMessage,
    decode_erasure,
    decode_output,
    topic_name,
)
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.merge import Merge
from stream_app.streaming.reading import TopicReader, topic_reader
from stream_app.streaming.rows import unseal
from stream_app.streaming.topics import changelog_topic, not_for_workers
from stream_app.users.codec import decode_state
from stream_app.users.erasure import Erasure, begun_after
from stream_app.users.state import UserState

BESIDE_MS = 30_000
"""A list is published together with the row: within this of the row's record, or not at all."""


class NoRowError(UserError):
    """There is no row of this user that may be shown."""


class StoredUser(NamedTuple):
    """What was found."""

    state: UserState
    sent: Recommendation | None
    """The list that was published with the row; None when it is not on the topic any more, or the
    row was written again since, as after an owner that had lost the partition."""


async def read_user(settings: Settings, user_id: str) -> StoredUser:
    """The valid row of a user and the list sent with it.

    Raises `NoRowError` for a user without a row, an erased one and a damaged row, `TopicsError`,
    `NoBrokerError`, `AccessError`, `StalledError`, and errors of the Kafka client.
    """
    user = user_id.encode()
    partitions = await topics.check(settings, without=not_for_workers(settings))
    number = topics.partitioner(partitions)(user)
    changelog = changelog_topic(settings.app_id)
    requests, lists = (
        topic_name(settings.topic_prefix, one) for one in (ERASURES, RECOMMENDATIONS)
    )
    places = [(topic, number) for topic in (changelog, requests, lists)]
    async with topic_reader(settings, places) as reader:
        rows = await _records_of(reader, changelog, number, user)
        # After the rows: a request that is not seen here was not there when the row was read.
        erasure = _erasure(await _records_of(reader, requests, number, user))
        row = _valid_row(rows, user)
        state = _decoded(row, user_id, erasure, f"{requests}/{number}", bool(rows), settings)
        written_ms = max(record.timestamp for record in rows if record.value == row)
        sent = await _sent(reader, lists, number, user, written_ms)
    return StoredUser(state, sent)


async def _records_of(
    reader: TopicReader,
    topic: str,
    number: int,
    user: bytes,
    between_ms: tuple[int, int] | None = None,
) -> list[Any]:
    """The user's records on a partition: all, or about those appended between two times."""
    if between_ms is None:
        start, end = await reader.begin(topic, number), await reader.end(topic, number)
    else:
        start, end = [await reader.at_time(topic, number, at_ms) for at_ms in between_ms]
    return [
        record
        async for records in reader.read(topic, number, start, end)
        for record in records
        if record.key == user
    ]


def _valid_row(records: Sequence[Any], user: bytes) -> bytes | None:
    """The row that a worker would take over: not always the last one on the topic."""
    return Merge(get=lambda users: [None] * len(users)).fold(records).get(user)


def _erasure(records: Sequence[Any]) -> Erasure | None:
    """The newest valid request."""
    found: Erasure | None = None
    for record in records:
        try:
            decode_erasure(record.value, key=record.key)
        except RejectedMessage:
            continue
        found = Erasure(record.timestamp, record.offset).and_then(found)
    return found


def _decoded(
    row: bytes | None,
    user_id: str,
    erasure: Erasure | None,
    source: str,
    known: bool,
    settings: Settings,
) -> UserState:
    """The row, if it may be shown; raises `NoRowError` saying why not."""
    if row is None:
        raise NoRowError(_absent(user_id, erasure, source, known, settings))
    try:
        state = decode_state(unseal(row))
    except ValueError as error:
        raise NoRowError(
            f"the row of user {user_id!r} cannot be read: {error}; `stream-app verify` says what "
            "else is damaged"
        ) from None
    if erasure is not None and not begun_after(state, source, erasure):
        raise NoRowError(
            f"the erasure of user {user_id!r} was requested ({source}@{erasure.offset}) and is not "
            "done yet: nothing is shown"
        )
    return state


def _absent(
    user_id: str, erasure: Erasure | None, source: str, known: bool, settings: Settings
) -> str:
    if erasure is not None:
        return (
            f"user {user_id!r} was erased ({source}@{erasure.offset}), and no event has come since"
        )
    if known:
        return (
            f"the row of user {user_id!r} was removed: they were silent for longer than "
            f"user_retention_days, or erased longer ago than {source} goes back"
        )
    return (
        f"user {user_id!r} is unknown to app_id {settings.app_id!r}: none of their events was "
        "applied; check the id, --app-id, and whether a worker runs"
    )


async def _sent(
    reader: TopicReader, topic: str, number: int, user: bytes, written_ms: int
) -> Recommendation | None:
    between_ms = (max(0, written_ms - BESIDE_MS), written_ms + BESIDE_MS)
    for record in reversed(await _records_of(reader, topic, number, user, between_ms)):
        try:
            made = decode_output(Recommendation, record.value)
        except RejectedMessage:
            continue
        if made.request_id is None:  # an answer to a request is made of more than the row
            return made
    return None
