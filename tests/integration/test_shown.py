"""What was shown and what was served does not come back within its time, on a real Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from click.testing import CliRunner

from schemas import Click, Impression, Recommendation, RecommendationRequest
from stream_app.cli.explain import command as explain
from stream_app.settings import Settings
from stream_app.verify import Report, Scope, verify
from tests.integration.topics import (
    ask,
    dead_letters,
    lists,
    send,
    send_raw,
    states,
    wait_for,
)

MINUTE_MS = 60_000
FILTERS = "bought,clicked,shown:1h,served:10m"
BEGAN = time.time_ns() // 1_000_000 - 90 * MINUTE_MS
"""The story ends a while ago: what is asked for is of now."""


@pytest.fixture
def filtering(settings: Settings) -> Settings:
    return replace(settings, filters=FILTERS)


def click(user: str, minute: float, item: str = "260") -> Click:
    return Click(user_id=user, item_id=item, timestamp_ms=BEGAN + int(minute * MINUTE_MS))


def impression(user: str, minute: float, items: Sequence[str]) -> Impression:
    at_ms = BEGAN + int(minute * MINUTE_MS)
    return Impression(user_id=user, rec_id="r", item_ids=tuple(items), timestamp_ms=at_ms)


def of(settings: Settings, user: str) -> list[Recommendation]:
    return [made for made in lists(settings) if made.user_id == user]


def ids(made: Recommendation) -> list[str]:
    return [item.item_id for item in made.items]


def after_a_click(settings: Settings, user: str, minute: float) -> list[str]:
    """The list after one more click."""
    before = len(of(settings, user))
    send(settings, [click(user, minute)])
    wait_for(lambda: len(of(settings, user)) == before + 1, "one more list")
    return ids(of(settings, user)[-1])


def checked(settings: Settings) -> Report:
    return asyncio.run(verify(settings, Scope(settled=True)))


def test_what_was_shown_or_served_returns_after_its_time(filtering, start_worker) -> None:
    worker = start_worker(filtering).wait_until_ready()
    first = after_a_click(filtering, "ann", 0)
    second = after_a_click(filtering, "ann", 5)
    assert not {*first} & {*second}
    top, rest = first[:3], first[3:]
    send(filtering, [impression("ann", 6, top)])
    wait_for(lambda: len(states(filtering)["ann"].shown) == 3 * 8, "the impression in the row")
    third = after_a_click(filtering, "ann", 20)
    assert not {*third} & {*top}
    assert {*third} & {*rest}
    assert len(of(filtering, "ann")) == 3  # none for the impression
    topic = filtering.topic_prefix + "impressions"
    send_raw(filtering, topic, [(b"ann", b"{}"), (b"ann", None)])
    wait_for(lambda: len(dead_letters(filtering)) == 2, "dead letters of what is no impression")
    fourth = after_a_click(filtering, "ann", 67)
    assert {*fourth} & {*top}
    send(filtering, [impression("bob", 80, fourth), impression("ann", 80, fourth[:1])])
    wait_for(lambda: "bob" in states(filtering), "a row by an impression alone")
    asked = [RecommendationRequest(user_id=user, request_id=user) for user in ("ann", "bob", "eve")]
    ask(filtering, *asked)
    wait_for(lambda: sum(1 for made in lists(filtering) if made.request_id) == 3, "answers")
    (now,) = (ids(made) for made in of(filtering, "ann") if made.request_id)
    assert fourth[0] not in now
    assert {*fourth[1:]} & {*now}  # served more than ten minutes ago
    assert not {*ids(of(filtering, "bob")[0])} & {*fourth}
    options = ("--user", "ann", "--item", fourth[0])
    result = CliRunner(env=filtering.environment()).invoke(explain, options)
    assert "not in the list: filtered by shown" in result.output, result.output
    assert worker.terminate() == 0
    report = checked(filtering)
    assert report.ok, report.as_dict()
    assert (report.checked["impressions"], report.checked["dead_letters"]) == (5, 2)


def test_a_killed_worker_neither_loses_nor_doubles_impressions(filtering, start_worker) -> None:
    worker = start_worker(filtering).wait_until_ready()
    users = [f"user-{number}" for number in range(30)]
    wanted = dict.fromkeys(users, 0)
    for turn in range(12):
        shown = [impression(user, turn, [str(turn), str(turn + 100)]) for user in users]
        clicks = [click(user, turn, str(turn + 1)) for user in users if turn % 4 == 0]
        send(filtering, [*shown, *clicks])
        if turn == 5:
            wait_for(lambda: len(states(filtering)) == 30, "some rows")
            worker.kill()
            worker = start_worker(replace(filtering))
        wanted = {user: count + 2 * 8 for user, count in wanted.items()}
    worker.wait_until_ready()
    wait_for(
        lambda: {user: len(row.shown) for user, row in states(filtering).items()} == wanted,
        "all impressions, once",
    )
    wait_for(
        lambda: sum(row.events for row in states(filtering).values()) == 90, "all clicks, once"
    )
    assert worker.terminate() == 0
    report = checked(filtering)
    assert report.ok, report.as_dict()
    assert (report.checked["impressions"], report.checked["events"]) == (360, 90)
    plain = checked(replace(filtering, filters="bought"))  # told nothing of the filter
    assert plain.ok, plain.as_dict()
    assert plain.checked["impressions"] == 360
