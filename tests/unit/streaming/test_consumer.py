"""What is acknowledged of an earlier assignment counts for nothing."""

from types import SimpleNamespace
from typing import NamedTuple

import pytest
from faust.transport.drivers import aiokafka as driver

from stream_app.streaming.consumer import SafeConsumer


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
