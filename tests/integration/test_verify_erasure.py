"""The checker knows what an erasure explains, and finds what it does not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import schemas
from agents.engine import Outgoing, Record
from schemas import Click, RecommendationRequest
from stream_app.recommender import Recommender
from stream_app.settings import Settings
from stream_app.streaming.ownership import NOBODY
from stream_app.verify import Report
from stream_app.verify.erased import Traces, verify_erased
from tests.integration.conftest import BUNDLE
from tests.integration.installation import Installation
from tests.integration.test_purge import configure
from tests.integration.test_verify import events, found
from tests.integration.topics import ask, erase, send_raw

NOW = 1_700_000_000_000


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    return Recommender.load(BUNDLE)


@pytest.fixture
def installation(settings: Settings, recommender: Recommender) -> Installation:
    """Events of some users, handled without a fault."""
    made = Installation(settings, recommender)
    made.send(events(200, seed=1))
    made.work()
    return made


def assert_nothing_found(report: Report) -> None:
    assert found(report) == {}, report.as_dict()


def click(user: str, item: int) -> Click:
    return Click(user_id=user, item_id=str(item), timestamp_ms=NOW + 10**7 + item)


def test_erased_events_are_neither_lost_nor_unanswered(installation: Installation) -> None:
    erase(installation.settings, "user-0", "user-3", "nobody")
    installation.send(events(100, seed=2, start_ms=NOW + 10**6))
    installation.work()
    for report in (installation.settled(strict=True), installation.verify()):
        assert_nothing_found(report)
        assert report.notes["erased_events"] > 50
    assert installation.state("user-0").events > 10, "it came back"


def test_what_was_never_read_is_not_lost(installation: Installation) -> None:
    """Also bad records of an erased user: there is no dead letter of them."""
    installation.send([click("user-1", number) for number in range(5)])
    bad = [(b"user-1", b"\xff no message")]
    send_raw(installation.settings, installation.clicks, bad)
    erase(installation.settings, "user-1")
    installation.work()
    report = installation.settled()
    assert_nothing_found(report)
    assert report.checked["dead_letters"] == 0
    assert report.checked["events_rejected"] == 0


def test_events_that_went_with_the_row_are_not_lost(installation: Installation) -> None:
    """They were appended after the request, and applied before it was read."""
    erase(installation.settings, "user-0")
    installation.send([click("user-0", number) for number in range(5)])
    installation.work(batch=1, erasures_last=True)
    assert installation.rows[b"user-0"] is None
    assert_nothing_found(installation.settled())
    installation.send([click("user-0", 9)])
    installation.work()
    assert installation.state("user-0").events == 1
    assert_nothing_found(installation.settled())


def test_a_row_that_should_be_gone_is_found(installation: Installation) -> None:
    erase(installation.settings, "user-0", "user-3")

    def overlook(record: Record) -> bool:
        return record.topic == installation.erasures and record.key == b"user-3"

    installation.work(skip=overlook)
    for report in (installation.settled(), installation.verify()):
        assert found(report) == {"not_erased": 1}
    installation.send([click("user-3", 1)])
    installation.work()
    assert found(installation.settled()) == {"not_erased": 1}


def test_a_row_that_came_back_is_found(installation: Installation) -> None:
    """As if a former owner's late row had the present epoch."""
    state = installation.state("user-0")
    erase(installation.settings, "user-0")
    installation.work()
    assert_nothing_found(installation.settled())
    installation.put("user-0", state)
    assert found(installation.settled()) == {"not_erased": 1}


def test_an_event_of_a_returned_user_that_is_missing_is_found(installation: Installation) -> None:
    erase(installation.settings, "user-0")
    installation.send([click("user-0", number) for number in range(3)])
    missed = schemas.encode(click("user-0", 1))
    installation.work(skip=lambda record: record.value == missed)
    assert found(installation.settled()) == {"lost": 1}


def test_a_request_that_waits_is_no_finding_in_a_running_installation(
    installation: Installation,
) -> None:
    erase(installation.settings, "user-0")
    report = installation.verify()
    assert_nothing_found(report)
    assert report.unchecked["users_being_erased"] == 1
    assert found(installation.settled()) == {"uncommitted": 1}


def traces(settings: Settings, *users: str) -> list[Traces]:
    return asyncio.run(verify_erased(settings, users, lambda topic, records: None))


def command(settings: Settings, *arguments: str) -> tuple[int, Any]:
    done = subprocess.run(
        [
            sys.executable, "-m", "stream_app", "verify", *arguments, "--json",
            "--bootstrap-servers", settings.bootstrap_servers,
            "--topic-prefix", settings.topic_prefix, "--app-id", settings.app_id,
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_what_is_left_of_a_user_before_and_after_compaction(
    installation: Installation, tmp_path: Path
) -> None:
    settings, prefix = installation.settings, installation.settings.topic_prefix
    bad = b'{"user_id": "user-0", "item_id": 7}'
    send_raw(settings, installation.clicks, [(b"user-0", bad), (b"another key", bad)])
    installation.work()
    assert not traces(settings, "user-0")[0].gone
    ask(settings, RecommendationRequest(user_id="user-0", request_id="q-1"))
    erase(settings, "user-0")
    installation.send([click("user-3", 1)])
    installation.work()

    code, (left,) = command(settings, "--erased", "user-0")
    assert code == 1
    assert left["rows"] > 0
    assert (left["tombstones"], left["new_rows"], left["gone"]) == (2, 0, False)
    held = {topic.removeprefix(prefix): found for topic, found in left["topics"].items()}
    assert held.keys() == {
        "clicks", "purchases", "recommendation-requests", "recommendations", "dead-letters",
        "erasures",
    }  # fmt: skip
    assert held["dead-letters"]["before"] == 2
    assert held["erasures"]["before"] == 1
    assert all(found["until_ms"] > left["requested_ms"] for found in held.values())

    compact(installation, "user-0")
    names = tmp_path / "users"
    names.write_text("user-0\nnobody\n\n")
    code, (left, nobody) = command(settings, "--erased-file", str(names))
    assert code == 0
    assert (left["rows"], left["tombstones"], left["gone"]) == (0, 0, True)
    assert left["topics"] == command(settings, "--erased", "user-0")[1][0]["topics"]
    assert nobody["gone"]
    assert not traces(settings, "user-3")[0].gone, "who was not erased is still there"

    installation.send([click("user-0", 5)])
    installation.work()
    (back,) = traces(settings, "user-0")
    assert (back.gone, back.new_rows, back.rows) == (True, 1, 0)
    assert back.topics[installation.clicks].after == 1
    assert "1 rows that were begun after the request" in back.as_text()
    names.write_text("\n")
    assert "names no user" in command(settings, "--erased-file", str(names))[1]


def compact(installation: Installation, user: str) -> None:
    """As a worker does: append until the segment is closed and compacted, and then again."""
    settings = installation.settings
    topics = (installation.changelog, installation.profiles)
    for topic in topics:
        configure(
            settings, topic,
            min_compaction_lag_ms="0", max_compaction_lag_ms="500", delete_retention_ms="1000",
        )  # fmt: skip
    partition = installation.partition_of[user.encode()]

    async def run() -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 90
        while not (await verify_erased(settings, [user], lambda topic, records: None))[0].gone:
            assert loop.time() < deadline, "not compacted in 90 s"
            empty = [Outgoing(topic, partition, NOBODY, None) for topic in topics]
            await asyncio.to_thread(installation.publish, empty)
            await asyncio.sleep(0.3)

    asyncio.run(run())
