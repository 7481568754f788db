"""`stream-app explain` on a real Kafka: the row of a user, their list, and the reasons."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from schemas import Click, Purchase
from stream_app.settings import Settings
from tests.integration.conftest import BUNDLE
from tests.integration.test_erasure import last_of, wait_until_handled
from tests.integration.topics import erase, lists, send, states, wait_for

NOW = 1_700_000_000_000
MOVIES = BUNDLE.parent / "ml-latest-small" / "movies.csv"
RING = ("1", "318", "2571", "6", "296")


def events(user: str) -> list[Click | Purchase]:
    return [
        *[
            Click(user_id=user, item_id=item, timestamp_ms=NOW + at * 60_000)
            for at, item in enumerate(RING[:-1])
        ],
        Purchase(user_id=user, item_id=RING[-1], timestamp_ms=NOW + 600_000),
    ]


def explain(
    settings: Settings, user: str, *arguments: str, bundle: Path | str = BUNDLE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "stream_app", "explain", "--user", user, *arguments,
            "--bootstrap-servers", settings.bootstrap_servers,
            "--topic-prefix", settings.topic_prefix, "--app-id", settings.app_id,
            "--bundle", str(bundle),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_served_user_is_explained(settings, start_worker) -> None:
    start_worker(settings).wait_until_ready()
    users = ["ann", "bob", "cleo"]
    send(settings, [event for user in users for event in events(user)])
    wait_for(lambda: sum(state.events for state in states(settings).values()) == 15, "all events")
    wait_for(lambda: {made.user_id for made in lists(settings)} == set(users), "lists")
    before = lists(settings)
    sent = next(made for made in reversed(before) if made.user_id == "ann")

    done = explain(settings, "ann", "--json", "--titles", str(MOVIES))
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["user_id"], shown["ring"], shown["events"]) == ("ann", 5, 5)
    assert shown["replayed_from"] is None
    assert shown["sent"]["rec_id"] == sent.rec_id
    assert [item["rank"] for item in shown["items"]] == list(range(1, 11))
    # The worker has learned from 15 events, which moves few of the bundle's counts.
    same = {item["item_id"] for item in shown["items"]} & {item.item_id for item in sent.items}
    assert len(same) >= 5
    for item in shown["items"]:
        assert item["title"] != item["item_id"]
        assert item["sources"]
        assert item["sentence"]
        assert all(cause["item_id"] in RING for cause in item["causes"])
        assert item["causes"]

    text = explain(settings, "ann", "--titles", str(MOVIES), "--k", "3", "--language", "zh")
    assert text.returncode == 0, text.stderr
    assert text.stdout.startswith("user ann: 5 events, 5 of them in the ring; release ")
    assert "the last list sent is of " in text.stdout
    assert "您" in text.stdout or "其他用户" in text.stdout
    (item,) = json.loads(explain(settings, "ann", "--item", "296", "--json").stdout)["items"]
    assert (item["status"], item["filters"]) == ("filtered", ["bought"])
    read_only = sorted(made.rec_id for made in before)  # partitions are read in any order
    assert sorted(made.rec_id for made in lists(settings)) == read_only


def test_no_row_is_said_to_be_unknown_or_erased(settings, start_worker) -> None:
    start_worker(settings).wait_until_ready()
    send(settings, [*events("ann"), *events("bob")])
    wait_for(lambda: len(states(settings)) == 2, "rows")
    nobody = explain(settings, "nobody")
    assert nobody.returncode == 2
    assert "user 'nobody' is unknown to app_id" in nobody.stderr
    assert len(nobody.stderr.splitlines()) == 1

    erase(settings, "ann")
    wait_until_handled(settings, 1)
    wait_for(lambda: last_of(settings, "ann") is None, "the tombstone")
    erased = explain(settings, "ann")
    assert erased.returncode == 2
    assert "user 'ann' was erased (" in erased.stderr

    send(settings, events("ann")[:1])
    wait_for(lambda: "ann" in states(settings), "a new row")
    back = explain(settings, "ann", "--json")
    assert json.loads(back.stdout)["events"] == 1

    unknown = explain(settings, "bob", "--item", "no such item")
    assert unknown.returncode == 2
    assert "item 'no such item' is not among the" in unknown.stderr


def test_an_erasure_that_waits_for_a_worker_is_kept_to(settings, start_worker) -> None:
    worker = start_worker(settings).wait_until_ready()
    send(settings, events("ann"))
    wait_for(lambda: "ann" in states(settings), "a row")
    assert worker.terminate() == 0
    assert explain(settings, "ann").returncode == 0  # no worker is needed
    erase(settings, "ann")
    waiting = explain(settings, "ann")
    assert waiting.returncode == 2
    assert "is not done yet: nothing is shown" in waiting.stderr


def test_topics_that_are_missing_are_named(settings) -> None:
    elsewhere = replace(settings, app_id="another")
    done = explain(elsewhere, "ann")
    assert done.returncode == 2
    assert "topics are missing: another-users-changelog" in done.stderr
