"""A small installation written by hand: real events, rows, lists and commits, without a worker.

What a worker writes is written here step by step with the same engine, so that a test can leave out
or damage exactly one thing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient

from agents.engine import Engine, Outgoing, Record
from schemas import (
    DEAD_LETTERS,
    DECISIONS,
    ERASURE_RECEIPTS,
    ERASURES,
    RECOMMENDATIONS,
    REQUESTS,
    Click,
    Purchase,
    topic_name,
)
from stream_app.recommender import Recommender
from stream_app.settings import Settings
from stream_app.streaming.publisher import Publisher
from stream_app.streaming.rows import Stamp, seal
from stream_app.streaming.topics import changelog_topic, profiles_topic, source_topics
from stream_app.users.codec import decode_state, encode_state
from stream_app.users.erasure import Erasure
from stream_app.users.state import UserState
from stream_app.verify import Report, Scope, verify
from tests.integration.topics import read_full, send

EPOCH = 5
"""Of the rows that the installation writes; there is room below for a former owner."""

Keep = Callable[[Outgoing], bool]


class Installation:
    """State of a scripted worker that owns all partitions."""

    def __init__(self, settings: Settings, recommender: Recommender) -> None:
        self.settings = settings
        self.changelog = changelog_topic(settings.app_id)
        self.recommendations = topic_name(settings.topic_prefix, RECOMMENDATIONS)
        self.dead_letters = topic_name(settings.topic_prefix, DEAD_LETTERS)
        self.clicks, self.purchases = source_topics(settings)
        self.profiles = profiles_topic(settings)
        self.erasures = topic_name(settings.topic_prefix, ERASURES)
        self.erased: dict[bytes, Erasure] = {}
        self.rows: dict[bytes, bytes | None] = {}
        self.partition_of: dict[bytes, int] = {}
        self.positions: dict[tuple[str, int], int] = {}
        self._engine = Engine(
            recommender,
            sources=source_topics(settings),
            changelog=self.changelog,
            recommendations=self.recommendations,
            dead_letters=self.dead_letters,
            erasures=self.erasures,
            receipts=topic_name(settings.topic_prefix, ERASURE_RECEIPTS),
            requests=topic_name(settings.topic_prefix, REQUESTS),
            decisions=topic_name(settings.topic_prefix, DECISIONS),
            profiles=self.profiles,
        )

    def send(self, events: Sequence[Click | Purchase]) -> None:
        send(self.settings, events)

    def work(
        self,
        *,
        batch: int = 50,
        skip: Callable[[Record], bool] = lambda _: False,
        keep: Keep = lambda _: True,
        reverse: bool = False,
        erasures_last: bool = False,
        commit: bool = True,
    ) -> None:
        """Handle what is on the source topics and was not handled.

        `skip` makes a worker that overlooks events, `keep` one that does not publish everything;
        `reverse` takes purchases before clicks, `erasures_last` events before requests.
        """
        records = [
            record
            for record in self.source_records(reverse=reverse)
            if record.offset >= self.positions.get((record.topic, record.partition), 0)
        ]
        if erasures_last:
            records.sort(key=lambda record: record.topic == self.erasures)
        outgoing: list[Outgoing] = []
        for start in range(0, len(records), batch):
            part = records[start : start + batch]
            taken = [record for record in part if not skip(record)]
            outgoing += [made for made in self._handle(taken) if keep(made)]
        for record in records:
            self.positions[record.topic, record.partition] = record.offset + 1
        self.publish(outgoing)
        if any(made.topic == self.profiles for made in outgoing):
            self._pass_own_tombstones()
        if commit:
            self.commit()

    def _pass_own_tombstones(self) -> None:
        """A worker reads what it has removed from `profiles`, and does nothing with it."""
        for record in read_full(self.settings, self.profiles):
            self.positions[record.topic, record.partition] = record.offset + 1

    def source_records(self, *, reverse: bool = False) -> list[Record]:
        """Everything on the source topics, in about the order in which it was appended.

        `reverse`: all purchases before all clicks, which no checker can know.
        """
        found = read_full(self.settings, self.clicks, self.purchases, self.profiles, self.erasures)
        if reverse:
            found.sort(key=lambda r: (r.topic == self.clicks, r.partition, r.offset))
        else:
            found.sort(key=lambda r: (r.timestamp, r.topic, r.partition, r.offset))
        return [
            Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
            for r in found
        ]

    def _handle(self, records: list[Record]) -> list[Outgoing]:
        keys = {record.key for record in records if record.key is not None}
        rows = {key: self.rows.get(key) for key in keys}
        known = {key: self.erased[key] for key in keys if key in self.erased}
        work = self._engine.work(records, rows, known)
        for _, user, erasure in work.erasures:
            self.erased[user] = erasure.and_then(self.erased.get(user))
        for row in work.rows:
            self.rows[row.key or b""] = row.value
            self.partition_of[row.key or b""] = row.partition
        return [self._sealed(row) for row in work.rows] + [
            *work.lists,
            *work.dead,
            *work.receipts,
            *work.forgotten,
        ]

    def _sealed(self, row: Outgoing) -> Outgoing:
        if row.value is None:
            return row._replace(headers=(("epoch", str(EPOCH).encode()),))
        return row._replace(value=seal(row.value, self._stamp()))

    def _stamp(self, epoch: int = EPOCH) -> Stamp:
        return Stamp(epoch, time.time_ns() // 1_000_000)

    def state(self, user: str) -> UserState:
        row = self.rows[user.encode()]
        assert row is not None
        return decode_state(row)

    def put(self, user: str, state: UserState, *, epoch: int = EPOCH, partition: int = -1) -> None:
        """Write a row of a user, whatever it holds."""
        key = user.encode()
        place = self.partition_of[key] if partition < 0 else partition
        value = seal(encode_state(state), self._stamp(epoch))
        self.publish([Outgoing(self.changelog, place, key, value)])

    def remove(self, user: str) -> None:
        """Expire a user: a tombstone on the changelog."""
        key = user.encode()
        self.rows[key] = None
        self.publish_tombstone(self.partition_of[key], key)

    def publish_tombstone(self, partition: int, key: bytes) -> None:
        headers = (("epoch", str(EPOCH).encode()),)
        self.publish([Outgoing(self.changelog, partition, key, None, headers)])

    def publish(self, records: Sequence[Outgoing]) -> None:
        async def run() -> None:
            publisher = Publisher(
                {"bootstrap_servers": self.settings.bootstrap_servers}, "installation"
            )
            await publisher.start()
            try:
                outbox = publisher.outbox()
                for record in records:
                    outbox.add(*record)
                await outbox.deliver()
            finally:
                await publisher.stop()

        asyncio.run(run())

    def commit(self, **ahead: int) -> None:
        """Commit what was handled; `clicks=5` commits five offsets more of each click partition."""
        offsets = {
            TopicPartition(topic, partition): OffsetAndMetadata(
                position + ahead.get(topic.removeprefix(self.settings.topic_prefix), 0), ""
            )
            for (topic, partition), position in self.positions.items()
        }

        async def run() -> None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.settings.bootstrap_servers,
                group_id=self.settings.app_id,
                enable_auto_commit=False,
            )
            await consumer.start()
            try:
                consumer.assign(list(offsets))
                await consumer.commit(offsets)
            finally:
                await consumer.stop()

        asyncio.run(run())

    def delete_records(self, topic: str, before: Callable[[int], int]) -> None:
        """What retention does, now: `before` gives the first offset to keep, of the end."""
        ends: dict[int, int] = {}
        for record in read_full(self.settings, topic):
            ends[record.partition] = record.offset + 1
        admin = AdminClient({"bootstrap.servers": self.settings.bootstrap_servers})
        places = [Place(topic, number, before(end)) for number, end in ends.items()]
        for future in admin.delete_records(places).values():
            future.result(30)

    def verify(self, **scope: object) -> Report:
        made = Scope(show_users=True, **scope)  # type: ignore[arg-type]
        return asyncio.run(verify(self.settings, made))

    def settled(self, **scope: object) -> Report:
        return self.verify(settled=True, **scope)
