"""Whether anything of erased users is left: on the changelog nothing may be, elsewhere until when.

All partitions are read, also those where a user does not belong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

import schemas
from schemas import (
    DEAD_LETTERS,
    DECISIONS,
    ERASURES,
    IMPRESSIONS,
    RECOMMENDATIONS,
    REQUESTS,
    DeadLetter,
    RejectedMessage,
    decode_erasure,
    topic_name,
)
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.reading import TopicReader, topic_reader
from stream_app.streaming.retention import deleted_after_ms, read_configs
from stream_app.streaming.rows import unseal
from stream_app.streaming.topics import changelog_topic, profiles_topic, source_topics
from stream_app.users.codec import decode_state
from stream_app.users.erasure import Erasure, begun_after, first_appended_ms
from stream_app.verify.rows import Record


@dataclass(slots=True)
class Held:
    """What a topic that deletes by age holds of a user."""

    before: int = 0
    """Records from before the newest request, it included."""
    after: int = 0
    newest_ms: int = 0
    """Append time of the last one from before, Unix ms."""
    until_ms: int | None = None
    """When that one is gone at the latest; None: the topic keeps records for ever, or its settings
    could not be read."""


@dataclass(slots=True)
class Traces:
    """What was found of one user."""

    user: str
    request: str | None = None
    """The newest request that is still on its topic, `topic/partition@offset`."""
    requested_ms: int | None = None
    rows: int = 0
    """Changelog records with a row from before."""
    tombstones: int = 0
    profiles: int = 0
    """Records of what the user said, from before."""
    new_rows: int = 0
    """Changelog records with a row that was begun after the request."""
    topics: dict[str, Held] = field(default_factory=dict)

    @property
    def gone(self) -> bool:
        """Whether the compacted topics hold nothing from before."""
        return not self.rows and not self.profiles and not self.tombstones

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {"gone": self.gone, **asdict(self)}

    def as_text(self) -> str:
        """Everything, as lines."""
        asked = "no request on the topic"
        if self.request and self.requested_ms is not None:
            asked = f"requested at {_date(self.requested_ms)} ({self.request})"
        lines = [
            f"{self.user}: {asked}",
            f"{'ok' if not self.rows else 'LEFT':8} {self.rows:8} rows on the changelog",
            f"{'ok' if not self.profiles else 'LEFT':8} {self.profiles:8} profiles",
            f"{'ok' if not self.tombstones else 'LEFT':8} {self.tombstones:8} tombstones on either",
        ]
        if self.new_rows:
            lines.append(f"{'note':8} {self.new_rows:8} rows that were begun after the request")
        for topic, held in self.topics.items():
            if held.before:
                until = "no known end" if held.until_ms is None else _date(held.until_ms)
                lines.append(f"{'held':8} {held.before:8} records in {topic} until {until}")
            if held.after:
                lines.append(f"{'note':8} {held.after:8} later records in {topic}")
        return "\n".join(lines)


async def verify_erased(
    settings: Settings, users: Iterable[str], progress: Callable[[str, int], None]
) -> list[Traces]:
    """Look for users in all topics; read-only.

    Raises `TopicsError`, `NoBrokerError`, `StalledError`, and errors of the Kafka client.
    """
    partitions = await topics.check(settings)
    lasts = {
        name: deleted_after_ms(config) for name, config in (await read_configs(settings)).items()
    }
    aged = [
        topic_name(settings.topic_prefix, ERASURES),  # first: it says what "before" is
        *source_topics(settings),
        topic_name(settings.topic_prefix, IMPRESSIONS),
        topic_name(settings.topic_prefix, REQUESTS),
        topic_name(settings.topic_prefix, RECOMMENDATIONS),
        topic_name(settings.topic_prefix, DECISIONS),
        topic_name(settings.topic_prefix, DEAD_LETTERS),
    ]
    compacted = (profiles_topic(settings), changelog_topic(settings.app_id))
    places = [(topic, number) for topic in (*aged, *compacted) for number in range(partitions)]
    search = _Search(settings, users)
    async with topic_reader(settings, places) as reader:
        for topic, number in places:
            async for records in _all(reader, topic, number):
                for record in records:
                    search.see(topic, number, record)
                progress(topic, len(records))
    return search.finish(lasts)


async def _all(reader: TopicReader, topic: str, number: int) -> Any:
    start, end = await reader.begin(topic, number), await reader.end(topic, number)
    async for records in reader.read(topic, number, start, end):
        yield records


class _Search:
    """Takes all records, the requests first."""

    def __init__(self, settings: Settings, users: Iterable[str]) -> None:
        self._requests = topic_name(settings.topic_prefix, ERASURES)
        self._profiles = profiles_topic(settings)
        self._letters = topic_name(settings.topic_prefix, DEAD_LETTERS)
        self._changelog = changelog_topic(settings.app_id)
        self._traces = {user.encode(): Traces(user) for user in users}
        self._erasures: dict[bytes, Erasure] = {}
        self._held: dict[tuple[bytes, str], list[tuple[int, int]]] = defaultdict(list)

    def see(self, topic: str, number: int, record: Record) -> None:
        """Take one record in."""
        if topic == self._letters:
            self._see_letter(topic, record)
            return
        user = record.key
        if user is None or user not in self._traces:
            return
        if topic == self._changelog:
            self._see_row(self._traces[user], number, record)
            return
        if topic == self._profiles and self._see_profile(self._traces[user], record):
            return
        if topic == self._requests:
            self._see_request(user, number, record)
        appended_ms = first_appended_ms(record.timestamp, record.headers)
        self._held[user, topic].append((appended_ms, record.timestamp))

    def finish(self, lasts: Mapping[str, int | None]) -> list[Traces]:
        """The findings; `lasts` is how old (ms) a record of a topic can become."""
        for (user, topic), times in self._held.items():
            erasure, held = self._erasures.get(user), Held()
            for appended_ms, timestamp_ms in times:
                if erasure is None or erasure.covers(appended_ms):
                    held.before += 1
                    held.newest_ms = max(held.newest_ms, timestamp_ms)
                else:
                    held.after += 1
            age_ms = lasts.get(topic)
            held.until_ms = held.newest_ms + age_ms if held.before and age_ms else None
            self._traces[user].topics[topic] = held
        return list(self._traces.values())

    def _see_request(self, user: bytes, number: int, record: Record) -> None:
        try:
            decode_erasure(record.value, key=record.key)
        except RejectedMessage:
            return
        traces = self._traces[user]
        traces.request = f"{self._requests}/{number}@{record.offset}"
        traces.requested_ms = record.timestamp
        erasure = Erasure(record.timestamp, record.offset)
        self._erasures[user] = erasure.and_then(self._erasures.get(user))

    def _see_row(self, traces: Traces, number: int, record: Record) -> None:
        if record.value is None:
            traces.tombstones += 1
        elif self._is_new(traces.user.encode(), number, record.value):
            traces.new_rows += 1
        else:
            traces.rows += 1

    def _see_profile(self, traces: Traces, record: Record) -> bool:
        """Take in a tombstone, or a profile from before; False for one that was said later."""
        erasure = self._erasures.get(traces.user.encode())
        if record.value is None:
            traces.tombstones += 1
        elif erasure is None or erasure.covers(record.timestamp):
            traces.profiles += 1
        else:
            return False
        return True

    def _is_new(self, user: bytes, number: int, row: bytes) -> bool:
        erasure = self._erasures.get(user)
        try:
            state = decode_state(unseal(row))
        except ValueError:
            return False
        source = f"{self._requests}/{number}"
        if erasure is None:  # the request itself is gone by now, its mark in the row is not
            return source in state.offsets
        return begun_after(state, source, erasure)

    def _see_letter(self, topic: str, record: Record) -> None:
        """A letter is as old as the record that it holds, and that may stand under another key."""
        try:
            letter = schemas.decode_output(DeadLetter, record.value)
        except RejectedMessage:
            return
        for user in {letter.key or b"", _user_in(letter.value)} & self._traces.keys():
            appended_ms = first_appended_ms(letter.timestamp_ms, letter.headers)
            self._held[user, topic].append((appended_ms, record.timestamp))


def _user_in(value: bytes | None) -> bytes:
    """The `user_id` that a rejected value names, if it can be read at all."""
    try:
        decoder = msgspec.json if (value or b"").startswith(b"{") else msgspec.msgpack
        fields = decoder.decode(value or b"")
        user = fields.get("user_id") if isinstance(fields, dict) else None
        return user.encode() if isinstance(user, str) else b""
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return b""


def _date(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")
