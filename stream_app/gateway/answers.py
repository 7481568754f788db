"""Requests on Kafka and the lists that answer them, one future for each that is open."""

from __future__ import annotations

import asyncio
from typing import Any

from schemas import Recommendation, RecommendationRequest, RejectedMessage, decode_output
from stream_app.streaming.clients import EventSender, Follower

MAX_OPEN = 1_000
"""Requests that wait at a time: more are turned away, as their answers would come too late."""
POLL_S = 0.05


class BusyError(Exception):
    """Too many requests wait already."""


class Answers:
    """Asks workers for lists; one `follow` runs as long as there are questions."""

    def __init__(self, sender: EventSender, lists: Follower) -> None:
        """`lists` stands at the end of the topic of recommendations."""
        self._sender = sender
        self._lists = lists
        self._open: dict[str, asyncio.Future[Recommendation]] = {}

    async def ask(self, request: RecommendationRequest, timeout_s: float) -> Recommendation:
        """The answer; raises `TimeoutError`, `BusyError`, and what sending raises."""
        if len(self._open) >= MAX_OPEN:
            raise BusyError
        future: asyncio.Future[Recommendation] = asyncio.get_running_loop().create_future()
        self._open[request.request_id] = future
        try:
            async with asyncio.timeout(timeout_s):
                await (await self._sender.ask(request))
                return await future
        finally:
            del self._open[request.request_id]

    async def follow(self) -> None:
        """Hand lists to who waits for them, until cancelled; raises errors of the client."""
        while True:
            for record in await self._lists.poll(POLL_S):
                if self._open:
                    self._take(record)

    def _take(self, record: Any) -> None:
        try:
            made = decode_output(Recommendation, record.value)
        except RejectedMessage:
            return  # something else writes to this topic; it is not ours to judge here
        future = self._open.get(made.request_id or "")
        if future is not None and not future.done():  # an answer can come twice
            future.set_result(made)
