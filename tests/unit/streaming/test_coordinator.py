"""A broker that still loads its offsets must not be read as one that has none."""

import asyncio
from typing import Any

import pytest
from aiokafka import errors
from aiokafka.protocol.commit import (
    OffsetFetchRequest,
    OffsetFetchResponse_v1,
    OffsetFetchResponse_v3,
)
from aiokafka.protocol.group import HeartbeatRequest, HeartbeatResponse_v1, SyncGroupRequest

from stream_app.streaming import coordinator

REQUEST = OffsetFetchRequest("group", [("clicks", [0])])


class Answering:
    """A coordinator that answers every request alike."""

    def __init__(self) -> None:
        self.dead = False

    def coordinator_dead(self) -> None:
        self.dead = True


def send(response: Any, monkeypatch: pytest.MonkeyPatch, request: Any = REQUEST) -> Any:
    async def answer(self: Any, request: Any) -> Any:
        return response

    monkeypatch.setattr(coordinator, "_send_req", answer)
    answering = Answering()
    return asyncio.run(coordinator._send_checked(answering, request)), answering


@pytest.mark.parametrize("code", [14, 15, 16])
def test_a_group_level_error_is_raised_and_can_be_retried(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.for_code(code)) as raised:
        send(OffsetFetchResponse_v3(0, [], code), monkeypatch)
    assert raised.value.retriable


def test_committed_offsets_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    response = OffsetFetchResponse_v3(0, [("clicks", [(0, 42, "", 0)])], 0)
    assert send(response, monkeypatch)[0] is response


def test_old_answers_have_no_group_level_error(monkeypatch: pytest.MonkeyPatch) -> None:
    response = OffsetFetchResponse_v1([("clicks", [(0, 42, "", 0)])])
    assert send(response, monkeypatch)[0] is response


@pytest.mark.parametrize(("code", "confirmed"), [(0, 1), (27, 1), (25, 0), (16, 0), (14, 0)])
def test_answers_that_take_the_worker_for_a_member_are_counted(
    code: int, confirmed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = HeartbeatRequest("group", 1, "me")
    _, answering = send(HeartbeatResponse_v1(0, code), monkeypatch, request)
    membership = coordinator.membership_of(answering)
    assert membership.confirmed == confirmed
    assert not membership.joining


def test_a_request_to_join_is_known_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []

    async def refuse(self: Any, request: Any) -> Any:
        waited.append(coordinator.membership_of(self).joining)
        raise errors.KafkaConnectionError

    monkeypatch.setattr(coordinator, "_send_req", refuse)
    answering = Answering()
    with pytest.raises(errors.KafkaConnectionError):
        asyncio.run(
            coordinator._send_checked(answering, SyncGroupRequest("group", 1, "me", None, []))
        )
    assert waited == [True]
    assert not coordinator.membership_of(answering).joining
