"""The reader of whole topics: everything, in order, whatever the broker does meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_app.broker import EmbeddedKafka
from stream_app.degradations import degradations
from stream_app.streaming import broadcast as module
from stream_app.streaming.broadcast import Broadcast


class Reading:
    """A reader of the topics `first` and `second` that keeps what it is given."""

    def __init__(self, bootstrap: str) -> None:
        self.values: list[bytes] = []
        self.arrived = asyncio.Event()
        self.reader = Broadcast(
            {"bootstrap_servers": bootstrap}, {"first": 2, "second": 1}, self.take
        )

    async def take(self, records: list[Any]) -> None:
        self.values += [record.value for record in records]
        self.arrived.set()

    async def until(self, condition: Callable[[], bool], timeout_s: float = 90) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await self.arrived.wait()
                self.arrived.clear()


async def make_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("first", 2, 1), NewTopic("second", 1, 1)])
    await admin.close()


async def produce(bootstrap: str, topic: str, partition: int, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=partition)


def test_all_is_read_in_order_through_a_restart_of_the_broker() -> None:
    with EmbeddedKafka() as kafka:
        asyncio.run(through_a_restart(kafka))


async def through_a_restart(kafka: EmbeddedKafka) -> None:
    await make_topics(kafka.bootstrap)
    await produce(kafka.bootstrap, "second", 0, b"s0", b"s1")
    await produce(kafka.bootstrap, "first", 0, b"a0", b"a1")
    await produce(kafka.bootstrap, "first", 1, b"b0")
    reading = Reading(kafka.bootstrap)
    try:
        await reading.reader.caught_up()
        assert sorted(reading.values[:3]) == [b"a0", b"a1", b"b0"], "one topic after the other"
        assert reading.values[3:] == [b"s0", b"s1"]
        assert reading.reader.remaining == 0
        await asyncio.to_thread(kafka.restart)
        await produce(kafka.bootstrap, "first", 0, b"a2")
        await produce(kafka.bootstrap, "second", 0, b"s2")
        await reading.until(lambda: {b"a2", b"s2"} <= set(reading.values))
        assert [one for one in reading.values if one.startswith(b"a")] == [b"a0", b"a1", b"a2"]
        assert [one for one in reading.values if one.startswith(b"s")] == [b"s0", b"s1", b"s2"]
    finally:
        await reading.reader.stop()


def test_it_waits_for_a_broker_that_is_not_there_yet(tmp_path, caplog) -> None:
    with EmbeddedKafka(tmp_path) as kafka:
        asyncio.run(make_topics(kafka.bootstrap))
        kafka.stop()
        asyncio.run(after_a_start(kafka, caplog))


async def after_a_start(kafka: EmbeddedKafka, caplog: pytest.LogCaptureFixture) -> None:
    reading, retried = Reading(kafka.bootstrap), degradations()["broker_retry"]
    waiting = asyncio.ensure_future(reading.reader.caught_up())
    try:
        while "trying until it works" not in caplog.text:
            await asyncio.wait({waiting}, timeout=0.1)
        assert not waiting.done()
        await asyncio.to_thread(kafka.start)
        async with asyncio.timeout(90):
            await waiting
        await produce(kafka.bootstrap, "first", 1, b"b0")
        await reading.until(lambda: reading.values == [b"b0"])
        assert caplog.text.count("trying until it works") == 1
        assert degradations()["broker_retry"] > retried
    finally:
        await reading.reader.stop()


def test_a_silent_connection_is_made_anew(kafka, monkeypatch) -> None:
    """The client stops fetching: its partitions are paused behind the reader's back."""
    monkeypatch.setattr(module, "STALLED_S", 1.0)
    monkeypatch.setattr(module, "LOOK_S", 0.5)
    consumers = []
    real = module.AIOKafkaConsumer

    def kept(**options: Any) -> Any:
        consumers.append(real(**options))
        return consumers[-1]

    monkeypatch.setattr(module, "AIOKafkaConsumer", kept)
    asyncio.run(silent(kafka.bootstrap, consumers))


async def silent(bootstrap: str, consumers: list[Any]) -> None:
    await make_topics(bootstrap)
    reading = Reading(bootstrap)
    try:
        await reading.reader.caught_up()
        consumers[0].pause(*consumers[0].assignment())
        await produce(bootstrap, "first", 0, b"a0")
        await reading.until(lambda: reading.values == [b"a0"])
        assert len(consumers) == 2
    finally:
        await reading.reader.stop()
