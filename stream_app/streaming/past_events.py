"""The events that the topics hold now, as a table to train on.

What is trained on is what serving has applied: a record that a worker would reject is passed over
and counted, one with an event id that the user had before is dropped, and events that were appended
before their user's erasure are left out (docs/erasure.md). One partition number is read after the
other, so what must be remembered meanwhile is that of a part of the users.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import schemas
from schemas import ERASURES, Click, Purchase, RejectedMessage, topic_name
from schemas.codec import MAX_CLOCK_SKEW_MS
from stream_app.datasets import TableBuilder
from stream_app.settings import Settings
from stream_app.streaming.reading import TopicReader, topic_reader
from stream_app.streaming.topics import missing_topics, partition_counts, source_topics
from stream_app.users.actions import PURCHASE, action_code
from stream_app.users.erasure import Erasure, first_appended_ms
from stream_app.users.ids import id_digest
from stream_app.users.state import DIGEST_BYTES, EVENT_IDS, holds_digest

ALWAYS_MS = 1 << 62
_APPEND_TIME = 1  # Kafka's code: the broker dated the record


@dataclass(slots=True)
class PastEvents:
    """What became of the records that were read; events that were taken are in the table."""

    records: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Records that no worker applies, by reason."""
    duplicates: int = 0
    """Events with an id that their user had before."""
    erased: int = 0
    """Events from before the erasure of their user."""
    outside: int = 0
    """Events of another time than was asked for."""


async def add_past_events(
    settings: Settings,
    into: TableBuilder,
    *,
    since_ms: int = 0,
    until_ms: int = ALWAYS_MS,
    on_records: Callable[[int, int], None] = lambda done, total: None,
) -> PastEvents:
    """Add the events with an event time of `since_ms` to before `until_ms` (Unix ms) to `into`.

    Reads to the ends that the topics have at the start, and nothing is committed. `on_records` is
    told how many records of how many are done. Raises `NoBrokerError` or `AccessError`,
    `TopicsError` when a topic does not exist, and `StalledError`.
    """
    erasures = topic_name(settings.topic_prefix, ERASURES)
    sources = source_topics(settings)
    counts = await partition_counts(settings, [*sources, erasures])
    if missing := {*sources, erasures} - counts.keys():
        raise missing_topics(settings, sorted(missing))
    numbers = range(max(counts.values()))
    places = [(topic, number) for topic, count in counts.items() for number in range(count)]
    found = PastEvents()
    async with topic_reader(settings, places) as reader:
        ranges = {
            (topic, number): await _range(reader, topic, number, since_ms)
            for topic, number in places
            if topic != erasures
        }
        total = sum(end - start for start, end in ranges.values())
        for number in numbers:
            # Read behind the ends of the events: a request that came before them is known.
            known = await _erasures(reader, erasures, number) if number < counts[erasures] else {}
            partition = _Partition(into, found, known, since_ms, until_ms)
            for topic, kind in sources.items():
                start, end = ranges.get((topic, number), (0, 0))
                async for records in reader.read(topic, number, start, end):
                    for record in records:
                        partition.add(kind, record)
                    on_records(found.records, total)
    return found


async def _range(reader: TopicReader, topic: str, number: int, since_ms: int) -> tuple[int, int]:
    """The first record that can hold an event of the time, and the end.

    An event is appended after it happened, but for the clock skew that workers accept.
    """
    end = await reader.end(topic, number)
    appended_ms = max(0, since_ms - MAX_CLOCK_SKEW_MS)
    start = await reader.at_time(topic, number, appended_ms)
    return max(start, await reader.begin(topic, number)), end


async def _erasures(reader: TopicReader, topic: str, number: int) -> dict[bytes, Erasure]:
    """The newest erasure of every user who was erased; what is no request erases nobody."""
    known: dict[bytes, Erasure] = {}
    start, end = await reader.begin(topic, number), await reader.end(topic, number)
    async for records in reader.read(topic, number, start, end):
        for record in records:
            try:
                user = schemas.decode_erasure(record.value, key=record.key).user_id.encode()
            except RejectedMessage:
                continue
            known[user] = Erasure(record.timestamp, record.offset).and_then(known.get(user))
    return known


class _Partition:
    """The events of one partition number of all source topics."""

    def __init__(
        self,
        into: TableBuilder,
        found: PastEvents,
        erasures: dict[bytes, Erasure],
        since_ms: int,
        until_ms: int,
    ) -> None:
        self._into = into
        self._found = found
        self._erasures = erasures
        self._since_ms = since_ms
        self._until_ms = until_ms
        self._event_ids: dict[bytes, bytes] = {}

    def add(self, kind: type[Click] | type[Purchase], record: Any) -> None:
        """Take one record, or count why not."""
        found = self._found
        found.records += 1
        erasure = self._erasures.get(record.key or b"")
        if erasure and erasure.covers(first_appended_ms(record.timestamp, record.headers)):
            found.erased += 1
            return
        try:
            event = _decode(kind, record)
        except RejectedMessage as rejected:
            found.rejected[rejected.reason.value] += 1
            return
        if event.event_id is not None and self._is_duplicate(record.key, event.event_id):
            found.duplicates += 1
        elif not self._since_ms <= event.timestamp_ms < self._until_ms:
            found.outside += 1
        else:
            action = PURCHASE if isinstance(event, Purchase) else action_code(event.action)
            self._into.add(event.user_id, event.item_id, event.timestamp_ms, action)

    def _is_duplicate(self, user: bytes, event_id: str) -> bool:
        """Whether it is one of the user's last `EVENT_IDS` ids, which is what a row remembers."""
        digest, ids = id_digest(event_id), self._event_ids.get(user, b"")
        if holds_digest(ids, digest):
            return True
        self._event_ids[user] = (ids + digest)[-EVENT_IDS * DIGEST_BYTES :]
        return False


def _decode(kind: type[Click] | type[Purchase], record: Any) -> Click | Purchase:
    # A worker compares with its clock, which is that of the broker within seconds. Where producers
    # set the time of records, nothing tells when a worker read them.
    now_ms = record.timestamp if record.timestamp_type == _APPEND_TIME else ALWAYS_MS
    if issubclass(kind, Purchase):
        return schemas.decode(Purchase, record.value, key=record.key, now_ms=now_ms)
    return schemas.decode(Click, record.value, key=record.key, now_ms=now_ms)
