"""Training straight from the topics: what serving applied, without those who were erased."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import Click, Purchase
from stream_app.bundle import load_bundle
from stream_app.datasets import EventTable, TableBuilder
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.past_events import PastEvents, add_past_events
from tests.integration.topics import erase, send, send_raw
from tests.unit.training.markov import markov_table

pytestmark = pytest.mark.kafka
NOW = 1_700_000_000_000
DAY = 86_400_000


def click(user: str, item: str, at: int, event_id: str | None = None) -> Click:
    return Click(user_id=user, item_id=item, timestamp_ms=NOW + at, event_id=event_id)


def read(settings: Settings, **range: Any) -> tuple[EventTable, PastEvents]:
    into = TableBuilder("topics")
    found = asyncio.run(add_past_events(settings, into, **range))
    return into.table(), found


def rows(table: EventTable) -> list[tuple[str, str, int]]:
    return [(one.user_id, one.item_id, one.timestamp_ms - NOW) for one in table.messages()]


def test_both_topics_are_read_in_the_order_of_event_times(settings: Settings) -> None:
    bought = Purchase(user_id="ann", item_id="b", timestamp_ms=NOW + 2)
    send(settings, [click("ann", "c", 3), click("bob", "a", 1), bought])
    send(settings, [click("ann", "d", 4)], "json")
    told: list[tuple[int, int]] = []
    table, found = read(settings, on_records=lambda done, total: told.append((done, total)))
    assert rows(table) == [("bob", "a", 1), ("ann", "b", 2), ("ann", "c", 3), ("ann", "d", 4)]
    assert [type(one).__name__ for one in table.messages()].count("Purchase") == 1
    assert (found.records, told[-1]) == (4, (4, 4))


def test_what_a_worker_would_not_apply_is_counted_and_left_out(settings: Settings) -> None:
    send(settings, [click("ann", "a", 1, "e1"), click("ann", "a", 1, "e1")])
    send(settings, [click("bob", "a", 2, "e1")])
    ahead = Click(user_id="ann", item_id="z", timestamp_ms=4_000_000_000_000)
    send_raw(
        settings,
        settings.topic_prefix + "clicks",
        [
            (b"ann", b"\xff"),
            (b"eve", msgspec.msgpack.encode(click("ann", "b", 3))),
            (b"ann", msgspec.msgpack.encode(ahead)),
            (b"ann", None),
        ],
    )
    table, found = read(settings)
    assert rows(table) == [("ann", "a", 1), ("bob", "a", 2)]
    assert found.duplicates == 1
    assert found.rejected == {
        "decode_error": 2,
        "validation_error": 1,
        "timestamp_in_future": 1,
    }


def test_erased_users_are_left_out_until_they_come_back(settings: Settings) -> None:
    send(settings, [click("ann", "a", 1), click("bob", "b", 2)])
    erase(settings, "ann")
    table, found = read(settings)
    assert rows(table) == [("bob", "b", 2)]
    assert ("ann" in table.user_ids, found.erased) == (False, 1)
    send(settings, [click("ann", "c", 3)])
    assert rows(read(settings)[0]) == [("bob", "b", 2), ("ann", "c", 3)]


def test_only_events_of_the_time_asked_for_are_taken(settings: Settings) -> None:
    send(settings, [click("ann", "a", 0), click("ann", "b", DAY), click("ann", "c", 2 * DAY)])
    table, found = read(settings, since_ms=NOW + DAY, until_ms=NOW + 2 * DAY)
    assert rows(table) == [("ann", "b", DAY)]
    assert found.outside == 2


def train(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "stream_app", "train", "--from-topics", *arguments,
            "--topic-prefix", settings.topic_prefix,
        ],
        env=settings.environment(), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def test_a_bundle_is_made_of_the_topics(settings: Settings, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")
    events = [*markov_table(users=20, length=20).messages()]
    send(settings, events)
    user = events[0].user_id
    erase(settings, user)
    left = sum(event.user_id != user for event in events)
    done = train(
        settings, "--out", str(tmp_path / "bundle"), "--epochs", "1", "--dim", "8",
        "--width", "8", "--blocks", "1", "--min-count", "1", "--threads", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{len(events) - left} of erased users left out" in done.stdout
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert (manifest.data.events, manifest.data.source) == (left, "topics clicks and purchases")


def test_a_time_without_events_and_missing_topics_are_refused(
    settings: Settings, tmp_path: Path
) -> None:
    send(settings, [click("ann", "a", 0)])
    done = train(settings, "--since", "1h", "--out", str(tmp_path / "bundle"))
    assert done.returncode == 2
    assert "topics clicks and purchases: holds no events" in done.stderr
    with pytest.raises(UserError, match="topics are missing"):
        read(replace(settings, topic_prefix="other."))
