"""What the inspector gets of a worker, and what it is told when the worker does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from agents import inspecting
from agents.inspecting import InspectedWorker
from schemas import Click, Purchase
from stream_app.inspector import Row, UnreachableError
from stream_app.settings import Settings
from stream_app.streaming.publisher import Publisher
from stream_app.users.codec import encode_state
from stream_app.users.erasure import Erasure
from stream_app.users.state import UserState

ROW = encode_state(UserState(events=3))
BEGUN_AFTER = encode_state(UserState(events=1, offsets={"erasures/0": 7}))


class Rows:
    """Of the partition 0."""

    partitions = (0,)

    def __init__(self, held: dict[bytes, bytes]) -> None:
        self.held = held

    def read(self, users: Iterable[tuple[int, bytes]]) -> dict[bytes, bytes | None]:
        assert threading.current_thread().name == "worker"
        return {user: self.held.get(user) for _, user in users}


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The worker's, in a thread of its own."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, name="worker")
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


def inspected(
    loop: Callable[[], asyncio.AbstractEventLoop | None],
    held: dict[bytes, bytes] | None = None,
    erased: dict[bytes, Erasure] | None = None,
) -> InspectedWorker:
    """Users whose name begins with `b` are of partition 1, which another worker has."""
    rows: Any = Rows(held or {})
    erasures: Any = SimpleNamespace(find=lambda places: dict(erased or {}))
    releases: Any = None
    return InspectedWorker(
        Settings(), releases, ThreadPoolExecutor(1), rows, erasures, Publisher({}, "test"),
        sources={"shop.clicks": Click, "shop.purchases": Purchase}, requests="erasures",
        partition_of=lambda user: int(user.startswith(b"b")), look=lambda: None, loop=loop,
    )  # fmt: skip


def rows_of(worker: InspectedWorker, *users: bytes) -> list[Row]:
    return asyncio.run(worker.rows(users))


def test_rows_are_read_on_the_workers_loop(loop) -> None:
    found = rows_of(inspected(lambda: loop, {b"ann": ROW}), b"ann", b"bob", b"al")
    assert found == [Row(0, True, UserState(events=3)), Row(1, False), Row(0, True)]


def test_a_damaged_row_is_said_to_be(loop) -> None:
    (row,) = rows_of(inspected(lambda: loop, {b"ann": b"\xc1 no row"}), b"ann")
    assert row.state is None
    assert "cannot be read" in row.problem


def test_a_user_whose_erasure_is_open_is_not_shown(loop) -> None:
    held = {b"ann": ROW, b"al": BEGUN_AFTER}
    erased = dict.fromkeys(held, Erasure(at_ms=1, offset=7))
    before, after = rows_of(inspected(lambda: loop, held, erased), b"ann", b"al")
    assert (before.state, before.problem) == (None, "the user's erasure is not done yet")
    assert after.state is not None


def test_a_worker_that_has_not_started_is_said_to() -> None:
    for loop in (None, asyncio.new_event_loop()):
        with pytest.raises(UnreachableError, match="has not started"):
            rows_of(inspected(lambda loop=loop: loop), b"ann")
        if loop is not None:
            loop.close()


def test_a_blocked_loop_is_said_to_be(loop, monkeypatch) -> None:
    monkeypatch.setattr(inspecting, "PATIENCE_S", 0.05)
    release = threading.Event()
    loop.call_soon_threadsafe(release.wait)
    try:
        with pytest.raises(UnreachableError, match="event loop has not answered"):
            rows_of(inspected(lambda: loop), b"ann")
    finally:
        release.set()


def test_an_event_that_kafka_does_not_take_is_said_to_be(loop) -> None:
    worker = inspected(lambda: loop)
    with pytest.raises(UnreachableError, match=r"Kafka does not take the event.*not connected"):
        asyncio.run(worker.publish(purchase=False, user=b"ann", value=b"{}"))
