"""Whatever a client can write, a real worker turns into an event or a dead letter, and goes on."""

from __future__ import annotations

import asyncio
import time
from itertools import islice
from typing import Any

import pytest
from confluent_kafka import Producer

import schemas
from schemas import Click
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender
from tests.hostile.engine_run import difference
from tests.hostile.payloads import Sample, samples
from tests.hostile.raw import batch, produce, record
from tests.integration.topics import (
    applied_events,
    dead_letters,
    lists,
    read,
    send,
    states,
    wait_for,
)
from tests.integration.worker import WorkerProcess

NOW = 1_750_000_000_000
COUNT = 4_000


def test_every_hostile_record_is_a_dead_letter_and_every_good_one_applied(
    settings, start_worker
) -> None:
    worker = start_worker(settings).wait_until_ready()
    sent = list(islice(samples(21, now_ms=now_ms()), COUNT))
    places = send_samples(settings, sent)
    rejected = {place: one for place, one in places.items() if one.expected is not None}
    wait_for(lambda: taken(worker) == len(places), "every record")
    wait_for(lambda: lag(worker) == 0, "every offset committed")

    letters = {f"{one.topic}/{one.partition}@{one.offset}": one for one in dead_letters(settings)}
    assert letters.keys() == rejected.keys()
    wrong = [text for place, one in places.items() for text in difference(one, letters.get(place))]
    assert wrong == []
    assert applied_events(settings) == len(places) - len(rejected)
    users = {one.key.decode() for one in places.values() if one.expected is None}
    assert states(settings).keys() == users == {made.user_id for made in lists(settings)}
    assert worker.process.poll() is None


def click(user: str, item: int) -> bytes:
    return schemas.encode(Click(user_id=user, item_id=str(item), timestamp_ms=NOW + item))


SICK: dict[str, list[bytes]] = {
    "header name": [record(0, b"ann", click("ann", 1), [(b"\xff\xfe", b"x")])],
    "empty header name": [record(0, b"ann", click("ann", 1), [(b"", None)])],
    "attributes": [record(0, b"ann", click("ann", 1), attributes=0xFF)],
    "hole in the offsets": [
        record(0, b"ann", click("ann", 1)),
        record(2, b"ann", click("ann", 2)),
        record(2, b"ann", click("ann", 3)),
    ],
    "one offset for all": [record(0, b"ann", click("ann", item)) for item in (1, 2, 3)],
    "offset before the batch": [
        record(-7, b"ann", click("ann", 1)),
        record(1, b"ann", click("ann", 2)),
    ],
}


@pytest.mark.parametrize("name", SICK)
def test_a_batch_that_the_broker_accepts_is_read(settings, start_worker, name: str) -> None:
    """Each of these would end a worker, and again after every restart."""
    worker = start_worker(settings).wait_until_ready()
    clicks = settings.topic_prefix + "clicks"
    (place,) = send(settings, [Click(user_id="ann", item_id="9", timestamp_ms=NOW)])
    code, offset = produce(settings.bootstrap_servers, clicks, place.partition, batch(SICK[name]))
    assert (code, offset) == (0, place.offset + 1)
    send(settings, [Click(user_id="ann", item_id="10", timestamp_ms=NOW + 10)])
    expected = len(SICK[name]) + 2
    wait_for(lambda: applied_events(settings) == expected, "all events")
    wait_for(lambda: lag(worker) == 0, "every offset committed")
    assert states(settings)["ann"].offsets == {f"{clicks}/{place.partition}": expected - 1}
    assert worker.process.poll() is None
    assert [r.offset for r in read(settings, "clicks")] == list(range(expected)), "and by tools"


def test_a_bad_header_name_is_kept_in_the_dead_letter(settings, start_worker) -> None:
    worker = start_worker(settings).wait_until_ready()
    sick = batch([record(0, b"ann", b"{}", [(b"trace-\xff", b"\xfe")])])
    code, _ = produce(settings.bootstrap_servers, settings.topic_prefix + "clicks", 0, sick)
    assert code == 0
    wait_for(lambda: len(dead_letters(settings)) == 1, "the dead letter")
    (letter,) = dead_letters(settings)
    assert letter.headers == (("trace-\\xff", b"\xfe"),)
    assert letter.reason == "validation_error"
    assert worker.process.poll() is None


def test_a_record_of_nothing_is_a_dead_letter(settings, start_worker) -> None:
    worker = start_worker(settings).wait_until_ready()
    code, _ = produce(
        settings.bootstrap_servers, settings.topic_prefix + "clicks", 0,
        batch([record(0, None, None)]),
    )  # fmt: skip
    assert code == 0
    wait_for(lambda: len(dead_letters(settings)) == 1, "the dead letter")
    assert dead_letters(settings)[0].reason == "decode_error"
    assert worker.process.poll() is None


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_producers_choose_the_compression(settings, start_worker, codec: str) -> None:
    start_worker(settings).wait_until_ready()
    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "compression.type": codec,
            "linger.ms": 50,
            "partitioner": "murmur2_random",
        }
    )
    topic = settings.topic_prefix + "clicks"
    for item in range(1, 301):
        producer.produce(topic, click("ann", item), key="ann")
    producer.flush(30)
    wait_for(lambda: applied_events(settings) == 300, f"events in {codec}")


def send_samples(settings: Settings, sent: list[Sample]) -> dict[str, Sample]:
    """Send samples; returns them by `topic/partition@offset`."""

    async def run() -> list[Any]:
        async with event_sender(settings) as sender:
            futures = [
                await sender.send_raw(
                    settings.topic_prefix + one.topic, one.key, one.value, one.headers
                )
                for one in sent
            ]
            return [await future for future in futures]

    sent = [one for one in sent if (one.key, one.value) != (None, None)]
    places = asyncio.run(run())
    return {
        f"{place.topic}/{place.partition}@{place.offset}": one
        for place, one in zip(places, sent, strict=True)
    }


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def metric(worker: WorkerProcess, name: str) -> list[float]:
    lines = worker.get("/metrics")[1].splitlines()
    return [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)]


def taken(worker: WorkerProcess) -> float:
    return sum(metric(worker, "stream_app_events_total{"))


def lag(worker: WorkerProcess) -> float:
    values = metric(worker, "stream_app_consumer_lag{")
    return sum(values) if values else -1
