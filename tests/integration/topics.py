"""Reading and writing topics in tests, synchronously."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from click import Command
from click.testing import CliRunner

from schemas import (
    Click,
    DeadLetter,
    Encoding,
    ErasureReceipt,
    ErasureRequest,
    Purchase,
    Recommendation,
    RecommendationRequest,
    decode_output,
)
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender, follower
from stream_app.streaming.rows import stamp_of, unseal
from stream_app.streaming.topics import changelog_topic
from stream_app.users.codec import decode_state
from stream_app.users.state import UserState


def send(
    settings: Settings, events: Sequence[Click | Purchase], encoding: Encoding = "msgpack"
) -> list[Any]:
    """Send events; returns their record metadata (topic, partition, offset), in order."""

    async def run() -> list[Any]:
        async with event_sender(settings, encoding=encoding) as sender:
            return [await future for future in [await sender.send(event) for event in events]]

    return asyncio.run(run())


def ask(settings: Settings, *requests: RecommendationRequest) -> list[Any]:
    """Ask for lists; returns the record metadata of the requests, in order."""

    async def run() -> list[Any]:
        async with event_sender(settings) as sender:
            return [await future for future in [await sender.ask(one) for one in requests]]

    return asyncio.run(run())


def send_raw(settings: Settings, topic: str, records: Sequence[tuple[Any, Any]]) -> None:
    """Send records (key, value) as they are to a full topic name."""

    async def run() -> None:
        async with event_sender(settings) as sender:
            for key, value in records:
                await sender.send_raw(topic, key, value)

    asyncio.run(run())


def read(settings: Settings, *topics: str) -> list[Any]:
    """All records of topics (names without prefix)."""
    return read_full(settings, *(settings.topic_prefix + topic for topic in topics))


def read_full(settings: Settings, *topics: str) -> list[Any]:
    """All records of topics by their full names."""

    async def run() -> list[Any]:
        async with follower(settings, topics, from_start=True) as records:
            return [record async for record in records.to_end()]

    return asyncio.run(run())


def lists(settings: Settings) -> list[Recommendation]:
    return [decode_output(Recommendation, r.value) for r in read(settings, "recommendations")]


def dead_letters(settings: Settings) -> list[DeadLetter]:
    return [decode_output(DeadLetter, r.value) for r in read(settings, "dead-letters")]


def states(settings: Settings) -> dict[str, UserState]:
    """The valid row of every user."""
    rows: dict[str, bytes] = {}
    for record in read_full(settings, changelog_topic(settings.app_id)):
        user_id, row = record.key.decode(), record.value
        if row is None:
            rows.pop(user_id, None)  # no test has a late row behind a tombstone
            continue
        if user_id not in rows or stamp_of(row).epoch >= stamp_of(rows[user_id]).epoch:
            rows[user_id] = row
    return {user_id: decode_state(unseal(row)) for user_id, row in rows.items()}


def applied_events(settings: Settings) -> int:
    return sum(state.events for state in states(settings).values())


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    """Poll until something holds, and leave half of the time to what is waited for."""
    deadline = time.monotonic() + timeout_s
    while True:
        began = time.monotonic()
        if condition():
            return
        assert time.monotonic() < deadline, f"not in {timeout_s} s: {what}"
        time.sleep(max(0.1, time.monotonic() - began))


def erase(settings: Settings, *users: str) -> list[Any]:
    """Send requests for erasure; returns their record metadata (topic, partition, offset)."""

    async def run() -> list[Any]:
        async with event_sender(settings) as sender:
            requests = [
                ErasureRequest(user_id=user, request_id=f"case of {user[:1]}") for user in users
            ]
            return [await future for future in [await sender.erase(one) for one in requests]]

    return asyncio.run(run())


def receipts(settings: Settings) -> list[ErasureReceipt]:
    return [decode_output(ErasureReceipt, r.value) for r in read(settings, "erasure-receipts")]


def run_command(settings: Settings, command: Command, *arguments: str) -> str:
    """What a command prints that succeeds, with these settings as its environment."""
    runner = CliRunner(env=settings.environment())
    result = runner.invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output
