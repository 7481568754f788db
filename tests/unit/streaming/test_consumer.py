"""What is acknowledged of an earlier assignment counts for nothing."""

import asyncio
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_app.streaming.consumer import SafeConsumer
from stream_app.streaming.exits import ExitCode


class Message(NamedTuple):
    generation_id: int


OLD = Message(6)


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> SafeConsumer:
    consumer = SafeConsumer.__new__(SafeConsumer)
    consumer.app = SimpleNamespace(consumer_generation_id=7)
    consumer._unacked_messages = {OLD}
    monkeypatch.setattr(driver.Consumer, "ack", lambda self, message: True)
    return consumer


@pytest.mark.parametrize(("generation", "counts"), [(7, True), (6, False), (8, False)])
def test_an_acknowledgement_counts_in_its_own_generation(consumer, generation, counts) -> None:
    assert consumer.ack(Message(generation)) is counts


def test_no_rebalance_waits_for_an_event_of_an_earlier_assignment(consumer) -> None:
    consumer.ack(OLD)
    assert not consumer.unacked


@pytest.mark.parametrize(("topic", "passes"), [("profiles", True), ("clicks", False)])
def test_a_hole_is_what_compaction_leaves_or_ends_the_worker(
    consumer, monkeypatch, topic: str, passes: bool
) -> None:
    consumer.transport = SimpleNamespace(compacted=("profiles",))
    taken, ended = [], []

    async def gap(self, *place: object) -> None:
        taken.append(place)

    async def whole(*_: object) -> bool:
        return False

    monkeypatch.setattr(driver.Consumer, "_add_gap", gap)
    monkeypatch.setattr(SafeConsumer, "is_truncated", whole)
    monkeypatch.setattr("stream_app.streaming.consumer.die", lambda code, *_: ended.append(code))
    place = TP(topic, 0), 4, 9
    asyncio.run(consumer._add_gap(*place))
    assert (taken, ended) == (([place], []) if passes else ([], [ExitCode.OFFSET_HOLE]))


def test_positions_that_are_not_known_yet_do_not_end_the_worker(consumer) -> None:
    """Faust's look at all partitions fails when it comes while they are assigned."""
    assert hasattr(driver.Consumer, "verify_all_partitions_active")
    asyncio.run(consumer.verify_all_partitions_active())  # Faust's own would need a running thread
