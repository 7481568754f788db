"""Sending many records from a command: only what the brokers have acknowledged counts as sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.errors import KafkaError

from stream_app.errors import UserError

IN_FLIGHT = 1000
"""Records that may wait for the brokers at a time; bounds memory and what a failure leaves open."""


@contextmanager
def kafka_errors(doing: str) -> Iterator[None]:
    """Turn an error of the Kafka client into a `UserError` that says what was being done."""
    try:
        yield
    except KafkaError as error:
        raise UserError(f"{doing}: {error}") from None


class Deliveries:
    """Sends within a block, and waits at its end until every record is acknowledged.

    Raises `UserError`, with the number of acknowledged records, when one is not delivered.
    """

    def __init__(self) -> None:
        self.acknowledged = 0
        self._open: deque[asyncio.Future[Any]] = deque()

    async def __aenter__(self) -> Deliveries:
        return self

    async def __aexit__(self, _: object, error: BaseException | None, *__: object) -> None:
        outcomes = await asyncio.gather(*self._open, return_exceptions=True)
        self._open.clear()
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        self.acknowledged += len(outcomes) - len(errors)
        if error is None and errors:
            error = errors[0]
        if isinstance(error, KafkaError):
            raise UserError(
                f"a record could not be delivered: {error} ({self.acknowledged} others were)"
            ) from None

    async def add(self, queued: Awaitable[asyncio.Future[Any]]) -> None:
        """Queue one record: what `EventSender.send` or `send_raw` returns, not yet awaited."""
        self._open.append(await queued)
        while self._open and (self._open[0].done() or len(self._open) > IN_FLIGHT):
            await self._open.popleft()
            self.acknowledged += 1
