"""An erased user is gone, whatever happens meanwhile, and comes back as a new one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from schemas import Click, Purchase
from stream_app.settings import Settings
from stream_app.streaming.topics import changelog_topic
from stream_app.users.ids import item_hash
from stream_app.users.state import events_of
from tests.integration.test_process_end import (
    CRASH,
    CRASH_POINTS,
    CRASHED,
    committed,
    with_fault,
)
from tests.integration.topics import (
    dead_letters,
    erase,
    lists,
    read_full,
    receipts,
    send,
    send_raw,
    states,
    wait_for,
)

NOW = 1_700_000_000_000


def click(user: str, item: int) -> Click:
    return Click(user_id=user, item_id=str(item), timestamp_ms=NOW + item)


def purchase(user: str, item: int) -> Purchase:
    return Purchase(user_id=user, item_id=str(item), timestamp_ms=NOW + item)


def histories(settings: Settings) -> dict[str, list[int]]:
    """The items of every user's row."""
    found = states(settings).items()
    return {user: events_of(state.history)["item"].tolist() for user, state in found}


def items(*numbers: int) -> list[int]:
    return [item_hash(str(number)) for number in numbers]


def last_of(settings: Settings, user: str) -> bytes | None:
    """Value of the last changelog record of a user."""
    changelog = read_full(settings, changelog_topic(settings.app_id))
    return [record.value for record in changelog if record.key == user.encode()][-1]


def wait_until_handled(settings: Settings, requests: int) -> None:
    def handled() -> bool:
        done = sum(committed(settings, "erasures").values())
        return done >= requests

    wait_for(handled, f"{requests} requests committed")


def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "stream_app", *arguments,
            "--bootstrap-servers", settings.bootstrap_servers,
            "--topic-prefix", settings.topic_prefix, "--app-id", settings.app_id,
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_an_erased_user_is_gone_and_comes_back_new(settings, start_worker) -> None:
    worker = start_worker(settings).wait_until_ready()
    send(settings, [click("ann", 1), purchase("ann", 2), click("bob", 3)])
    wait_for(lambda: histories(settings).get("ann") == items(1, 2), "the row of ann")
    wait_for(lambda: "bob" in histories(settings), "the row of bob")

    done = command(settings, "erase", "ann", "--wait", "--json", "--request-id", "case-1")
    assert done.returncode == 0, done.stderr
    receipt = json.loads(done.stdout)
    assert (receipt["outcome"], receipt["events"], receipt["request_id"]) == ("erased", 2, "case-1")
    held = {
        left["topic"].removeprefix(settings.topic_prefix): left for left in receipt["remaining"]
    }
    assert held.keys() == {
        "clicks", "purchases", "impressions", "recommendation-requests", "recommendations",
        "dead-letters", "decisions", "profiles",
        "erasures",
        changelog_topic(settings.app_id),
    }  # fmt: skip
    assert all(left["until_ms"] > receipt["erased_at_ms"] for left in held.values())
    assert histories(settings) == {"bob": items(3)}
    assert last_of(settings, "ann") is None
    shown = command(settings, "erase", "nobody", "--wait")
    assert "unknown" in shown.stdout
    assert "clicks may still hold records" in shown.stdout

    before = len(lists(settings))
    send(settings, [click("ann", 4)])
    wait_for(lambda: histories(settings).get("ann") == items(4), "a new row of ann")
    wait_for(lambda: len(lists(settings)) == before + 1, "a list for ann")
    assert states(settings)["ann"].events == 1
    verify(settings)
    assert "stream_app_erasures_total 2.0" in worker.get("/metrics")[1]


def test_a_user_without_a_worker_gets_no_receipt(settings) -> None:
    done = command(settings, "erase", "ann", "--wait", "--timeout", "1")
    assert done.returncode == 2
    assert "no receipt within 1 s" in done.stderr
    assert f"{settings.topic_prefix}erasures/" in done.stderr


def test_events_from_before_the_request_that_were_not_read_are_dropped(
    settings, start_worker
) -> None:
    """Also those that nobody could have applied: a dead letter would keep them."""
    bad = [(b"ann", b"\xff not a message"), (b"bob", b"\xff not a message")]
    send(settings, [click("ann", 1), purchase("ann", 2), click("bob", 3), purchase("bob", 4)])
    send_raw(settings, settings.topic_prefix + "clicks", bad)
    erase(settings, "ann")
    worker = start_worker(settings).wait_until_ready()
    wait_for(lambda: histories(settings).get("bob") == items(3, 4), "the row of bob")
    wait_until_handled(settings, 1)
    assert "ann" not in histories(settings)
    assert {made.user_id for made in lists(settings)} == {"bob"}
    assert {letter.key for letter in dead_letters(settings)} == {b"bob"}
    assert [receipt.outcome for receipt in receipts(settings)] == ["unknown"]
    metrics = worker.get("/metrics")[1]
    clicks, purchases = (settings.topic_prefix + name for name in ("clicks", "purchases"))
    assert f'stream_app_events_total{{outcome="erased",topic="{clicks}"}} 2.0' in metrics
    assert f'stream_app_events_total{{outcome="erased",topic="{purchases}"}} 1.0' in metrics


RECEIPTS = {
    "before anything is published": ["erased"],
    "when only rows are published": ["unknown"],
    "when only lists are published": ["erased", "erased"],
    "when the broker has everything": ["erased", "unknown"],
    "before the batch is acknowledged": ["erased", "unknown"],
    "after the batch is acknowledged": ["erased"],
}


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_crash_does_not_bring_the_user_back(
    settings: Settings, start_worker: Callable, tmp_path: Path, point: str
) -> None:
    """The crash is in the worker's second batch, which is the request."""
    code = CRASH.format(fault=CRASH_POINTS[point], code=CRASHED)
    worker = start_worker(settings, **with_fault(tmp_path / "fault", code)).wait_until_ready()
    send(settings, [click("ann", 1)])
    wait_for(lambda: histories(settings) == {"ann": items(1)}, "the row of ann")
    erase(settings, "ann")
    assert worker.wait() == CRASHED, worker.output

    start_worker(settings).wait_until_ready()
    wait_until_handled(settings, 1)
    assert histories(settings) == {}
    assert last_of(settings, "ann") is None
    found = receipts(settings)
    assert [receipt.outcome for receipt in found] == RECEIPTS[point]
    assert len({(receipt.partition, receipt.offset) for receipt in found}) == 1
    if found[-1].outcome == "unknown":
        assert found[-1].reread
    send(settings, [click("ann", 2)])
    wait_for(lambda: histories(settings) == {"ann": items(2)}, "a new row of ann")


def test_who_takes_a_partition_over_knows_its_erasures(settings, start_worker) -> None:
    """Everything is read again here, as after the offsets of a group were lost."""
    first = start_worker(settings).wait_until_ready()
    send(settings, [click("ann", 1), purchase("ann", 2)])
    wait_for(lambda: histories(settings) == {"ann": items(1, 2)}, "the row of ann")
    erase(settings, "ann")
    wait_until_handled(settings, 1)
    send(settings, [click("ann", 3)])
    wait_for(lambda: histories(settings) == {"ann": items(3)}, "a new row of ann")
    assert first.terminate() == 0
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    for future in admin.delete_consumer_groups([settings.app_id]).values():
        future.result(30)

    second = start_worker(settings).wait_until_ready()
    wait_until_handled(settings, 1)
    wait_for(lambda: len(committed(settings)) == 2, "clicks and purchases committed")
    assert histories(settings) == {"ann": items(3)}
    assert [receipt.outcome for receipt in receipts(settings)] == ["erased", "handled_before"]
    assert second.process.poll() is None
    verify(settings)


def test_a_dead_letter_from_before_is_not_replayed_into_a_new_history(
    settings, start_worker
) -> None:
    """Also: who has a row that cannot be read can be erased, and begins anew."""
    changelog = changelog_topic(settings.app_id)
    send_raw(settings, changelog, [(b"ann", b"no row at all")])
    worker = start_worker(settings).wait_until_ready()
    send(settings, [click("ann", 1)])
    wait_for(lambda: len(dead_letters(settings)) == 1, "the dead letter")
    erase(settings, "ann")
    wait_until_handled(settings, 1)
    (receipt,) = receipts(settings)
    assert (receipt.outcome, receipt.events, receipt.row_bytes) == ("erased", None, 13)
    replayed = subprocess.run(
        [
            sys.executable, "-m", "stream_app", "dead-letters", "replay",
            "--bootstrap-servers", settings.bootstrap_servers,
            "--topic-prefix", settings.topic_prefix,
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "sent 1 records" in replayed.stdout
    send(settings, [click("ann", 2)])
    wait_for(lambda: last_of(settings, "ann") is not None, "a new row of ann")
    assert histories(settings) == {"ann": items(2)}
    clicks = settings.topic_prefix + "clicks"
    wait_for(
        lambda: f'outcome="erased",topic="{clicks}"}} 1.0' in worker.get("/metrics")[1],
        "the replayed event is dropped",
    )


def verify(settings: Settings) -> None:
    """The checker finds nothing wrong."""
    wait_for(lambda: bool(committed(settings)), "a first commit")
    checked = command(settings, "verify")
    assert checked.returncode == 0, checked.stdout + checked.stderr
