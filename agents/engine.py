"""The bytes edge of the recommender: source records and user rows in, records to publish out.

No Kafka client here: what is done with a batch can be tested, profiled and replayed without one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import schemas
from schemas import Click, Purchase, Reason, RejectedMessage
from stream_app.recommender import NEW, Recommender, SourceMessage
from stream_app.users.codec import decode_state, encode_state
from stream_app.users.state import UserState

Headers = Sequence[tuple[str, bytes | None]]
EventType = type[Click] | type[Purchase]


class Record(NamedTuple):
    """One record of a source topic, undecoded."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Kafka's timestamp of the record: when it was appended."""
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Outgoing(NamedTuple):
    """One record to publish."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Headers = ()


@dataclass(slots=True)
class Work:
    """What follows from a batch of records."""

    rows: list[Outgoing] = field(default_factory=list)
    lists: list[Outgoing] = field(default_factory=list)
    dead: list[Outgoing] = field(default_factory=list)
    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)
    """Number of events by topic and outcome."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Number of dead letters by reason."""
    appended_ms: list[int] = field(default_factory=list)
    """When the events that were new were appended, Unix ms: what a latency is counted from."""
    stages: dict[str, float] = field(default_factory=dict)
    """Processor seconds of the engine's thread by stage; for `publish`, seconds of waiting."""

    def records(self) -> list[Outgoing]:
        """Everything to publish."""
        return self.rows + self.lists + self.dead

    def count(self, topic: str, outcome: str) -> None:
        """One more event of a topic with this outcome."""
        key = (topic, outcome)
        self.outcomes[key] = self.outcomes.get(key, 0) + 1


class Engine:
    """Decodes, recommends and encodes; called from one thread at a time."""

    def __init__(
        self,
        recommender: Recommender,
        *,
        sources: Mapping[str, EventType],
        changelog: str,
        recommendations: str,
        dead_letters: str,
        encoding: schemas.Encoding = "msgpack",
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._recommender = recommender
        self._decoders = {topic: _decoder(kind) for topic, kind in sources.items()}
        self._changelog = changelog
        self._recommendations = recommendations
        self._dead_letters = dead_letters
        self._encoding = encoding
        self._clock_ms = clock_ms

    def work(self, records: Sequence[Record], rows: Mapping[bytes, bytes | None]) -> Work:
        """Apply a batch, in order; `rows` holds the encoded state of every key of the batch.

        A record that cannot be applied becomes a dead letter and changes nothing else.
        """
        work = Work()
        began = time.thread_time()
        states, damaged = _decode_rows(rows)
        messages: list[SourceMessage] = []
        appended_ms: list[int] = []
        partitions: dict[str, int] = {}
        now_ms = self._clock_ms()
        for record in records:
            try:
                message = self._decode(record, damaged, now_ms)
            except RejectedMessage as rejected:
                self._reject(work, record, rejected)
                continue
            partitions[message.user_id] = record.partition
            messages.append(SourceMessage(message, record.topic, record.partition, record.offset))
            appended_ms.append(record.timestamp_ms)
        decoded = time.thread_time()
        work.stages["decode"] = decoded - began
        if messages:
            self._recommend(work, messages, appended_ms, states, partitions)
        return work

    def _decode(
        self, record: Record, damaged: Mapping[bytes, str], now_ms: int
    ) -> Click | Purchase:
        decode = self._decoders[record.topic]
        message = decode(record.value, key=record.key, now_ms=now_ms)
        problem = damaged.get(record.key or b"") if damaged else None
        if problem:
            detail = f"the row of user {message.user_id!r} cannot be read: {problem}"
            raise RejectedMessage(Reason.PROCESSING_ERROR, detail)
        return message

    def _recommend(
        self,
        work: Work,
        messages: list[SourceMessage],
        appended_ms: list[int],
        states: dict[str, UserState | None],
        partitions: Mapping[str, int],
    ) -> None:
        processed = self._recommender.process(messages, states)
        work.stages |= processed.stages
        began = time.thread_time()
        for source, at_ms, outcome in zip(messages, appended_ms, processed.outcomes, strict=True):
            work.count(source.topic, outcome.value)
            if outcome in NEW:
                work.appended_ms.append(at_ms)
        for user_id, state in processed.states.items():
            work.rows.append(
                Outgoing(
                    self._changelog, partitions[user_id], user_id.encode(), encode_state(state)
                )
            )
        for made in processed.recommendations:
            value = schemas.encode(made, self._encoding)
            partition = partitions[made.user_id]
            work.lists.append(
                Outgoing(self._recommendations, partition, made.user_id.encode(), value)
            )
        work.stages["encode_records"] = time.thread_time() - began

    def _reject(self, work: Work, record: Record, rejected: RejectedMessage) -> None:
        letter = schemas.dead_letter(rejected, **record._asdict())
        work.dead.append(
            Outgoing(
                self._dead_letters,
                record.partition,
                letter.key,
                schemas.encode(letter),
                schemas.dead_letter_headers(letter),
            )
        )
        work.reasons[letter.reason] = work.reasons.get(letter.reason, 0) + 1
        work.count(record.topic, "dead_letter")


def _decoder(kind: EventType) -> Callable[..., Click | Purchase]:
    if issubclass(kind, Purchase):
        return partial(schemas.decode, Purchase)
    return partial(schemas.decode, Click)


def _decode_rows(
    rows: Mapping[bytes, bytes | None],
) -> tuple[dict[str, UserState | None], dict[bytes, str]]:
    """States by user id, and for rows that cannot be read the reason."""
    states: dict[str, UserState | None] = {}
    damaged: dict[bytes, str] = {}
    for key, row in rows.items():
        try:
            states[key.decode()] = decode_state(row) if row else None
        except UnicodeDecodeError:
            continue  # no valid message has such a key
        except ValueError as error:
            damaged[key] = str(error)
    return states, damaged
