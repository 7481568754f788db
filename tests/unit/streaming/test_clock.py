"""Clocks compared by the times of records that arrive at some moment of the comparison."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.settings import Settings
from stream_app.streaming import clock

PLACE = ("clicks", 0)


class Topic:
    """One partition, on a machine whose clock is the broker's."""

    def __init__(self, read_ms: int = 0) -> None:
        """The newest records take `read_ms` to read; meanwhile one arrives."""
        self.now_ms, self.read_ms = 10_000, read_ms
        self.stamps = [9_000]
        self.comes_ms: int | None = None
        """When one more arrives, after the newest were read."""

    def clock_ms(self) -> int:
        self.now_ms += 1
        return self.now_ms

    async def begins(self, _: Any) -> dict[tuple[str, int], int]:
        return {PLACE: 0}

    async def ends(self, _: Any) -> dict[tuple[str, int], int]:
        if self.comes_ms is not None and self.comes_ms <= self.now_ms:
            self.stamps.append(self.comes_ms)
            self.comes_ms = None
        return {PLACE: len(self.stamps)}

    async def read_all(
        self, ranges: Mapping[tuple[str, int], tuple[int, int]]
    ) -> dict[tuple[str, int], list[Any]]:
        start, end = ranges[PLACE]
        found = [
            SimpleNamespace(topic="clicks", timestamp=at_ms, timestamp_type=clock.BROKER_STAMPED)
            for at_ms in self.stamps[start:end]
        ]
        if self.read_ms:
            self.now_ms += self.read_ms
            self.stamps.append(self.now_ms - self.read_ms + 1)
            self.read_ms = 0
        return {PLACE: found}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(clock, "LISTEN_S", 0.1)
    monkeypatch.setattr(clock, "POLL_S", 0.01)

    def compare(topic: Topic) -> clock.ClockReading:
        @asynccontextmanager
        async def reader(*_: Any) -> AsyncIterator[Topic]:
            yield topic

        monkeypatch.setattr(clock, "topic_reader", reader)
        return asyncio.run(clock.read_clock(Settings(), [PLACE], topic.clock_ms))

    return compare


def test_a_record_that_arrives_tells_how_far_clocks_are_apart(read) -> None:
    topic = Topic()
    topic.comes_ms = 10_004
    reading = read(topic)
    assert reading.ahead_ms is not None
    assert -10 < reading.ahead_ms <= 0


def test_one_that_came_while_the_newest_were_read_does_not(read) -> None:
    assert read(Topic(read_ms=3_000)).ahead_ms is None
