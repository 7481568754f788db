"""Counts come in whatever is on the topic, and are published whatever the broker does."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiokafka.errors import ProducerClosed, RequestTimedOutError
from small_release import small_release

import schemas
from agents.trends import TrendAgent
from schemas import Click, ItemTrend
from stream_app.recommender import Recommender, SourceMessage
from stream_app.streaming.publisher import Publisher

NOW = 1_700_000_000_000


class Outbox:
    """Takes records, or fails as the broker would."""

    def __init__(self, failures: list[Exception], taken: list[tuple[Any, ...]]) -> None:
        self._failures = failures
        self._taken = taken
        self._added: list[tuple[Any, ...]] = []

    def add(self, *record: Any) -> None:
        self._added.append(record)

    async def deliver(self) -> None:
        if self._failures:
            raise self._failures.pop(0)
        self._taken += self._added


class Connected(Publisher):
    """A publisher that is connected, to nothing."""

    def __init__(self, failures: list[Exception]) -> None:
        super().__init__({}, "test")
        self.failures = failures
        self.taken: list[tuple[Any, ...]] = []

    def outbox(self) -> Any:
        return Outbox(self.failures, self.taken)


def clicked(*items: str) -> Recommender:
    recommender = Recommender(small_release(20))
    for offset, item in enumerate(items):
        click = Click(user_id="ann", item_id=item, timestamp_ms=NOW)
        recommender.process([SourceMessage(click, "clicks", 2, offset)], {"ann": None})
    return recommender


def agent_of(recommender: Recommender, publisher: Publisher) -> TrendAgent:
    return TrendAgent(recommender.trends, "item-trends", publisher, ThreadPoolExecutor(1))


def flush(recommender: Recommender, publisher: Publisher, times: int = 1) -> None:
    async def run() -> None:
        agent = agent_of(recommender, publisher)
        for _ in range(times):
            await agent.flush()

    asyncio.run(run())


def test_counts_go_into_the_partition_that_was_counted_under_the_item() -> None:
    publisher = Connected([])
    flush(clicked("item-3"), publisher, times=2)
    ((topic, partition, key, value),) = publisher.taken
    assert (topic, partition, key) == ("item-trends", 2, b"item-3")
    trend = schemas.decode_output(ItemTrend, value)
    assert (trend.item_id, trend.release, trend.at_ms) == ("item-3", "small@1", NOW)


def test_what_the_broker_does_not_take_is_published_later(caplog, degraded_by) -> None:
    publisher = Connected([RequestTimedOutError(), RequestTimedOutError()])
    with caplog.at_level(logging.WARNING):
        flush(clicked("item-3", "item-4"), publisher, times=3)
    assert sorted(record[2] for record in publisher.taken) == [b"item-3", b"item-4"]
    assert len(caplog.records) == 1, "it is said once"
    assert degraded_by() == {"trends_unpublished": 2}


def test_nothing_is_taken_while_the_publisher_is_not_connected_or_stops(caplog) -> None:
    recommender = clicked("item-3")
    flush(recommender, Publisher({}, "test"))
    assert len(recommender.trends.unpublished()) == 1
    flush(clicked("item-3"), Connected([ProducerClosed()]))
    assert not caplog.records


@pytest.mark.parametrize("value", [None, b"{", b"", b"\xc1", b'{"item_id":"item-3"}'])
def test_a_record_that_is_no_count_changes_nothing(value: bytes | None) -> None:
    writer, reader = clicked("item-3"), clicked()
    ((partition, right),) = writer.trends.unpublished()
    bad = SimpleNamespace(topic="item-trends", partition=1, offset=0, value=value)
    good = SimpleNamespace(
        topic="item-trends", partition=partition, offset=1, value=schemas.encode(right)
    )
    asyncio.run(agent_of(reader, Connected([])).take([bad, good]))
    item = np.array([reader.bundle.catalog.index_of("item-3")], np.int32)
    assert reader.live.trends.events(item)[0] == pytest.approx(1.0)
    assert len(reader.live.counts) == 1
