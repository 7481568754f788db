"""The live flow: what a listener gets, what is lost when it does not keep up, and what it costs."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest
from inspected import FakeWorker, call, serve

from agents.records import Outgoing, Work
from schemas import Click, DeadLetter, encode
from stream_app.inspector import Feed, Inspector
from stream_app.inspector.feed import DEAD_LETTERS, RECENT_USERS, WAITING_LISTS
from stream_app.inspector.figures import Figures, Totals, Window
from stream_app.inspector.live import MOST_STREAMS, MOST_UNREAD, Stream
from stream_app.users.erasure import Erasure


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def inspector(worker: FakeWorker) -> Iterator[Inspector]:
    made = serve(worker)
    yield made
    made.close()


@contextmanager
def events(inspector: Inspector, path: str = "/api/live") -> Iterator[Iterator[tuple[str, Any]]]:
    """Names and data of a stream's events."""
    host, _, port = inspector.address.removeprefix("http://").rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/event-stream"
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]

    def read() -> Iterator[tuple[str, Any]]:
        name = ""
        for line in response:
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)

    try:
        yield read()
    finally:
        response.close()
        connection.close()


def first(found: Iterator[tuple[str, Any]], wanted: str) -> Any:
    return next(data for name, data in found if name == wanted)


def test_ticks_say_how_it_is(worker, inspector) -> None:
    worker.click("ann", "item-2", "item-4")
    with events(inspector) as found:
        tick = first(found, "tick")
        assert (tick["events_total"], tick["lists_total"], tick["dead_letters_total"]) == (2, 1, 0)
        assert (tick["p50_ms"], tick["freshness"]["events"]) == (None, 0)
        worker.click("ann", "item-6")
        tick = next(data for name, data in found if name == "tick" and data["events_total"] == 3)
    fresh = tick["freshness"]
    assert sum(fresh["counts"]) == fresh["events"] == 1
    assert len(fresh["counts"]) == len(fresh["edges_ms"]) + 1
    assert 0 <= tick["p50_ms"] <= tick["p99_ms"]


def test_a_list_is_shown_with_titles_and_its_age(worker, inspector) -> None:
    with events(inspector) as found:
        first(found, "tick")
        worker.click("ann", "item-2")
        made = first(found, "list")
    assert made["user_id"] == "ann"
    assert made["freshness_ms"] >= 0
    assert [item["rank"] for item in made["items"]] == [1, 2, 3, 4, 5]
    assert {item["title"][:5] for item in made["items"]} <= {"Title", "item-"}


def test_whoever_follows_a_user_gets_all_their_lists(worker, inspector) -> None:
    with events(inspector, "/api/live?user=bob") as found:
        first(found, "tick")
        for number in range(3):
            worker.click("ann", f"item-{number}")
            worker.click("bob", f"item-{number}")
        made = [first(found, "list") for _ in range(3)]
    assert {one["user_id"] for one in made} == {"bob"}
    assert len({one["rec_id"] for one in made}) == 3


def test_without_listeners_nothing_is_kept_of_lists(worker, inspector) -> None:
    worker.click("ann", "item-2")
    assert not worker.feed.listening
    assert worker.feed.drain() == []
    with events(inspector) as found:
        first(found, "tick")
        assert worker.feed.listening
    deadline = time.monotonic() + 30  # it is noticed when the next event is written
    while worker.feed.listening:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker.click("ann", "item-4")
    assert worker.feed.drain() == []


def test_too_many_streams_are_refused(inspector) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_STREAMS):
            stack.enter_context(events(inspector))
        answer = call(inspector, "/api/live")
        assert answer.status == 503
        assert "look at this worker already" in answer.json["error"]


def test_a_slow_stream_loses_the_oldest() -> None:
    async def run() -> list[bytes]:
        stream = Stream(None)
        for number in range(MOST_UNREAD + 3):
            stream.put("tick", {"number": number})
        read = [await stream.next(1) for _ in range(MOST_UNREAD)]
        assert await stream.next(0) is None
        return [one for one in read if one is not None]

    read = asyncio.run(run())
    assert len(read) == MOST_UNREAD
    assert b'"number":3' in read[0]


def batch(users: list[str], **more: Any) -> Work:
    return Work(rows=[Outgoing("t", 0, user.encode(), b"row") for user in users], **more)


ROUNDS = WAITING_LISTS // 20 + 200


def letter(key: bytes, detail: str) -> Outgoing:
    return Outgoing("t", 0, key, encode(dead_letter(key, detail)))


def dead_letter(key: bytes, detail: str) -> DeadLetter:
    return DeadLetter(
        reason="decode_error", detail=detail, topic="t", partition=0, offset=1, timestamp_ms=1,
        key=key, value=None,
    )  # fmt: skip


def test_dead_letters_of_items_are_among_the_last() -> None:
    feed = Feed()
    feed.batch(batch([], dead=[letter(b"a", "event")]), ())
    feed.rejected([dead_letter(b"item-1", "item")])
    assert [one.detail for one in feed.letters()] == ["item", "event"]
    assert feed.dead_letters == 2


def test_the_feed_is_bounded() -> None:
    feed = Feed()
    feed.listening = True
    for number in range(ROUNDS):
        dead = [letter(b"a", f"{number}-{n}") for n in range(3)]
        made = [Outgoing("t", 0, b"u", b"list")] * 20
        feed.batch(batch([f"u{number}", f"v{number}"], dead=dead, lists=made), ())
    last = ROUNDS - 1
    assert len(feed.drain()) == WAITING_LISTS // 20
    assert feed.drain() == []
    feed.batch(batch(["u"]), ())
    assert len(feed.drain()) == 1
    feed.listening = False
    assert [one.user for one in feed.users(3)] == [
        b"u", f"v{last}".encode(), f"u{last}".encode(),
    ]  # fmt: skip
    assert RECENT_USERS <= len(feed.users(10_000)) < RECENT_USERS + 2
    assert len(feed.letters()) == DEAD_LETTERS
    assert feed.letters()[0].detail == f"{last}-2"
    assert feed.dead_letters == 3 * ROUNDS


def test_users_who_were_erased_leave_nothing_in_the_feed() -> None:
    feed = Feed()
    for number in range(10):
        feed.batch(batch([f"u{number}"]), ())
        erased = Work(rows=[Outgoing("rows", 0, f"u{number}".encode(), None)])
        erased.erasures = [(0, f"u{number}".encode(), Erasure(at_ms=1, offset=number))]
        feed.batch(erased, ())
    assert not feed._users


def test_a_user_is_named_once_and_with_the_last_time() -> None:
    times = iter([1, 2, 3])
    feed = Feed(lambda: next(times))
    for users in (["a", "b"], ["a"], ["b", "b"]):
        feed.batch(batch(users), ())
    assert [(one.user, one.at_ms) for one in feed.users(9)] == [(b"b", 3), (b"a", 2)]


def test_an_erased_user_is_not_remembered() -> None:
    feed = Feed()
    feed.batch(batch(["a", "b"], dead=[letter(b"a", "of a"), letter(b"b", "of b")]), ())
    gone = Work(rows=[Outgoing("t", 0, b"a", None)], erasures=[(0, b"a", Erasure(1, 1))])
    feed.batch(gone, ())
    assert [one.user for one in feed.users(9)] == [b"b"]
    assert [one.detail for one in feed.letters()] == ["of b"]


def test_quantiles_are_interpolated_as_prometheus_does() -> None:
    window = Window()
    edges = (0.01, 0.02)

    def totals(*counts: int) -> Totals:
        return Totals(0, 0, 0, edges, np.array(counts, np.int64))

    assert window.freshness(totals(5, 5, 5)).p50_ms is None  # of before
    fresh = window.freshness(totals(15, 5, 5))
    assert (fresh.counts, fresh.window_s) == ([10, 0, 0], 1)
    assert (fresh.p50_ms, fresh.p99_ms) == (5.0, pytest.approx(9.9))
    fresh = window.freshness(totals(15, 15, 15))
    assert fresh.p50_ms == pytest.approx(15.0)
    assert fresh.p99_ms == 20.0  # above the last edge


def test_the_window_moves_on() -> None:
    window = Window()
    for second in range(100):
        counts = np.array([10 * min(second, 1), 0], np.int64)
        fresh = window.freshness(Totals(0, 0, 0, (0.01,), counts))
    assert (fresh.window_s, sum(fresh.counts)) == (60, 0)


def test_figures_are_those_of_the_metrics(worker) -> None:
    worker.click("ann", "item-2", "item-4")
    worker.handle((b"ann", b"no event"))
    totals = Figures(worker.registry).totals()
    assert (totals.events, totals.lists, totals.dead_letters) == (3, 1, 1)
    assert int(totals.buckets.sum()) == 2
    assert Figures(worker.registry).users() == 1


def test_a_published_list_that_is_none_is_passed_over(worker, inspector) -> None:
    with events(inspector) as found:
        first(found, "tick")
        broken = Work(lists=[Outgoing("out", 0, b"ann", b"junk")])
        worker.feed.batch(broken, ())
        first(found, "tick")
        worker.handle((b"ann", encode(Click(user_id="ann", item_id="item-1", timestamp_ms=1))))
        assert first(found, "list")["user_id"] == "ann"
