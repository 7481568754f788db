"""Only acknowledged records count, and a refused one is an error in one line."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from stream_app.cli.delivery import IN_FLIGHT, Deliveries
from stream_app.errors import UserError


async def queued(error: Exception | None = None, after_s: float = 0) -> asyncio.Future[None]:
    """A record's future, settled by the event loop later."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    settle = (future.set_result, None) if error is None else (future.set_exception, error)
    loop.call_later(after_s, *settle)
    return future


def test_the_block_waits_for_the_last_acknowledgement() -> None:
    async def run() -> int:
        async with Deliveries() as deliveries:
            for _ in range(3 * IN_FLIGHT):
                await deliveries.add(queued())
            assert deliveries.acknowledged >= 2 * IN_FLIGHT
        return deliveries.acknowledged

    assert asyncio.run(run()) == 3 * IN_FLIGHT


@pytest.mark.parametrize("failing", [0, 5, 2 * IN_FLIGHT - 1])
def test_a_record_that_is_not_delivered_is_an_error(failing: int) -> None:
    deliveries = Deliveries()
    sent: list[int] = []

    async def run() -> None:
        async with deliveries:
            for number in range(2 * IN_FLIGHT):
                sent.append(number)
                error = KafkaTimeoutError("no answer") if number == failing else None
                await deliveries.add(queued(error))

    with pytest.raises(UserError, match="KafkaTimeoutError: no answer") as raised:
        asyncio.run(run())
    assert deliveries.acknowledged == len(sent) - 1
    assert f"({len(sent) - 1} others were)" in str(raised.value)


def test_a_record_that_is_refused_at_once_is_an_error() -> None:
    async def refused() -> asyncio.Future[None]:
        raise MessageSizeTooLargeError("too large")

    async def run() -> None:
        async with Deliveries() as deliveries:
            await deliveries.add(queued())
            await deliveries.add(refused())

    with pytest.raises(UserError, match="too large"):
        asyncio.run(run())


def test_what_was_sent_before_another_error_is_still_waited_for() -> None:
    deliveries = Deliveries()

    async def run() -> None:
        async with deliveries:
            await deliveries.add(queued(after_s=0.01))
            raise UserError("line 2: no event")

    with pytest.raises(UserError, match="line 2"):
        asyncio.run(run())
    assert deliveries.acknowledged == 1
