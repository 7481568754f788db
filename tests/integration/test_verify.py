"""The checker finds what it says it finds, each damage by its name, and nothing else."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from agents.engine import Outgoing
from schemas import Click, Purchase
from stream_app.demo.session import free_port
from stream_app.recommender import Recommender
from stream_app.settings import Settings
from stream_app.streaming.reading import committed_offsets
from stream_app.users.state import EVENT_BYTES, SourceEvent, apply
from stream_app.verify import Kind, Report, Scope, verify
from tests.integration.conftest import BUNDLE, PARTITIONS
from tests.integration.installation import EPOCH, Installation
from tests.integration.topics import applied_events, read, send, send_raw, wait_for

NOW = 1_700_000_000_000
USERS = 25


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    return Recommender.load(BUNDLE)


@pytest.fixture
def installation(settings: Settings, recommender: Recommender) -> Installation:
    """Events of some users, handled without a fault."""
    made = Installation(settings, recommender)
    made.send(events(400, seed=1))
    made.work()
    return made


def events(count: int, seed: int, start_ms: int = NOW) -> list[Click | Purchase]:
    """Events whose times mostly grow and sometimes are equal; some users have long histories."""
    dice = random.Random(seed)
    made: list[Click | Purchase] = []
    for number in range(count):
        kind = Purchase if dice.random() < 0.25 else Click
        user = 0 if dice.random() < 0.4 else dice.randrange(USERS)
        made.append(
            kind(
                user_id=f"user-{user}",
                item_id=str(dice.randrange(1, 3000)),
                timestamp_ms=start_ms + number // 2 * 10 - dice.choice((0, 0, 0, 35)),
                event_id=f"id-{number}" if dice.random() < 0.5 else None,
            )
        )
    return made


def found(report: Report) -> dict[str, int]:
    """Counts of the kinds that are not zero."""
    return {kind.value: report.count(kind) for kind in Kind if report.count(kind)}


def test_what_is_consistent_gives_no_finding(installation: Installation) -> None:
    for report in (
        installation.settled(),
        installation.verify(),
        installation.settled(strict=True),
    ):
        assert found(report) == {}, report.as_dict()
        assert report.ok
        assert report.checked["events"] == 400
        assert report.checked["users"] == USERS
        assert report.checked["rows"] == report.checked["lists"] > USERS
        assert not report.unchecked


def test_events_of_the_two_topics_may_arrive_in_any_order(
    settings: Settings, recommender: Recommender
) -> None:
    """The worker took all purchases of a partition first; append times say something else."""
    made = Installation(settings, recommender)
    made.send(events(600, seed=2))
    made.work(reverse=True, batch=7)
    assert found(made.settled()) == {}


def test_a_backlog_is_no_finding_while_live(installation: Installation) -> None:
    installation.send(events(50, seed=3, start_ms=NOW + 10_000))
    assert found(installation.verify()) == {}
    report = installation.settled()
    assert report.count(Kind.LOST) == 50
    assert report.count(Kind.UNCOMMITTED) == 50


def test_rows_ahead_of_the_commit_are_no_finding_while_live(installation: Installation) -> None:
    installation.send(events(50, seed=3, start_ms=NOW + 10_000))
    installation.work(commit=False)
    assert found(installation.verify()) == {}
    assert found(installation.settled()) == {"uncommitted": 50}


def test_an_event_that_the_worker_overlooked_is_lost(installation: Installation) -> None:
    installation.send(events(60, seed=4, start_ms=NOW + 10_000))
    (lost,) = [r for r in installation.source_records() if r.key == b"user-3"][-1:]
    installation.work(skip=lambda record: record == lost)
    for report in (installation.verify(), installation.settled()):
        assert found(report) == {"lost": 1}
        (example,) = report.examples(Kind.LOST)
        assert example["user"] == "user-3"
        assert example["place"] == f"{lost.topic}/{lost.partition}@{lost.offset}"


def test_an_event_cut_out_of_a_row_is_lost(installation: Installation) -> None:
    state = installation.state("user-5")
    cut = state.history[:EVENT_BYTES] + state.history[2 * EVENT_BYTES :]
    installation.put("user-5", msgspec.structs.replace(state, history=cut))
    report = installation.settled()
    assert found(report) == {"lost": 1}
    assert report.examples(Kind.LOST)[0]["user"] == "user-5"


def test_a_user_without_a_row_has_lost_everything(
    settings: Settings, recommender: Recommender
) -> None:
    made = Installation(settings, recommender)
    made.send(events(200, seed=1))
    made.work(keep=lambda record: (record.topic, record.key) != (made.changelog, b"user-6"))
    lost = sum(record.key == b"user-6" for record in made.source_records())
    report = made.settled()
    assert report.count(Kind.LOST) == lost > 0
    assert {example["user"] for example in report.examples(Kind.LOST)} == {"user-6"}


def test_an_event_applied_twice_is_duplicated(installation: Installation) -> None:
    state = installation.state("user-0")  # more events than a history holds
    assert state.events > 100
    source, offset = next(iter(state.offsets.items()))
    last = state.history[-EVENT_BYTES:]
    again = SourceEvent(
        int.from_bytes(last[:8], "little"), state.last_timestamp_ms, last[16], last[17],
        source, offset + 1,
    )  # fmt: skip
    twice, _ = apply(state, again)
    installation.put("user-0", msgspec.structs.replace(twice, offsets=state.offsets))
    report = installation.settled()
    assert found(report) == {"duplicated": 1}
    assert report.examples(Kind.DUPLICATED)[0]["user"] == "user-0"


def test_a_history_out_of_order_is_misordered(installation: Installation) -> None:
    state = installation.state("user-7")
    first, last = state.history[:EVENT_BYTES], state.history[EVENT_BYTES:]
    installation.put("user-7", msgspec.structs.replace(state, history=last + first))
    assert set(found(installation.settled())) >= {"misordered"}


def test_equal_times_in_another_order_than_on_their_topic_are_misordered(
    settings: Settings, recommender: Recommender
) -> None:
    made = Installation(settings, recommender)
    made.send([Click(user_id="ann", item_id=str(n), timestamp_ms=NOW) for n in (1, 2)])
    made.work()
    assert made.settled().ok
    state = made.state("ann")
    history = state.history[EVENT_BYTES:] + state.history[:EVENT_BYTES]
    made.put("ann", msgspec.structs.replace(state, history=history))
    assert found(made.settled()) == {"misordered": 1}


def test_an_event_without_a_list_is_uncovered(installation: Installation) -> None:
    installation.send(events(60, seed=4, start_ms=NOW + 10_000))
    before = installation.state("user-0").offsets
    installation.work(
        batch=1000,
        keep=lambda made: (made.topic, made.key) != (installation.recommendations, b"user-0"),
    )
    passed = [
        record
        for record in installation.source_records()
        if record.key == b"user-0"
        and record.offset > before.get(f"{record.topic}/{record.partition}", -1)
    ]
    report = installation.settled()
    assert found(report) == {"uncovered": len(passed), "stale": 1}
    assert len(passed) > 1


def test_an_older_list_published_late_is_stale_and_a_repeat_is_not(
    settings: Settings, recommender: Recommender
) -> None:
    made = Installation(settings, recommender)
    published: list[Outgoing] = []
    for number in range(2):
        made.send([Click(user_id="ann", item_id=str(number + 1), timestamp_ms=NOW + number)])
        made.work(keep=lambda record: published.append(record) or True)
    first, second = [record for record in published if record.topic == made.recommendations]
    made.publish([second, first])
    report = made.settled()
    assert found(report) == {}
    assert report.notes["repeated_lists"] == 2
    late = msgspec.msgpack.decode(first.value)
    late["rec_id"] = "of another batch"
    made.publish([first._replace(value=msgspec.msgpack.encode(late))])
    assert found(made.settled()) == {"stale": 1}


def test_a_rejected_event_without_its_dead_letter_is_lost(installation: Installation) -> None:
    bad = [(b"user-1", b"{}"), (b"user-2", b"\xff"), (None, b"x")]
    send_raw(installation.settings, installation.clicks, bad)
    installation.work()
    assert found(installation.settled()) == {}
    assert installation.settled().checked["dead_letters"] == 3
    send_raw(installation.settings, installation.clicks, bad[:1])
    installation.work(keep=lambda made: made.topic != installation.dead_letters)
    report = installation.settled()
    assert found(report) == {"lost": 1}
    assert "validation_error" in report.examples(Kind.LOST)[0]["detail"]


def test_a_dead_letter_of_an_applied_event_is_duplicated(installation: Installation) -> None:
    applied = next(r for r in installation.source_records() if r.key == b"user-4")
    letters: list[Outgoing] = []
    bad = [(b"user-4", b"{}")]
    send_raw(installation.settings, applied.topic, bad)
    installation.work(keep=lambda made: letters.append(made) or True)
    letter = msgspec.msgpack.decode(letters[-1].value)
    letter |= {"partition": applied.partition, "offset": applied.offset, "topic": applied.topic}
    value = msgspec.msgpack.encode(letter)
    installation.publish([letters[-1]._replace(value=value, partition=applied.partition)])
    report = installation.settled()
    assert report.count(Kind.DUPLICATED) == 1
    assert set(found(report)) == {"duplicated"}


def test_a_row_in_another_partition_is_found(installation: Installation) -> None:
    user = "user-8"
    elsewhere = (installation.partition_of[user.encode()] + 1) % PARTITIONS
    installation.put(user, installation.state(user), partition=elsewhere)
    report = installation.settled()
    assert found(report) == {"wrong_partition": 1}
    assert (
        f"{installation.changelog}/{elsewhere}@"
        in report.examples(Kind.WRONG_PARTITION)[0]["place"]
    )


def test_a_list_in_another_partition_is_found(installation: Installation) -> None:
    published: list[Outgoing] = []
    installation.send([Click(user_id="user-8", item_id="1", timestamp_ms=NOW + 10**6)])
    installation.work(keep=lambda made: published.append(made) or True)
    (made,) = [record for record in published if record.topic == installation.recommendations]
    installation.publish([made._replace(partition=(made.partition + 1) % PARTITIONS)])
    report = installation.settled()
    assert set(found(report)) == {"wrong_partition"}


def test_an_event_of_a_producer_with_another_partitioner_is_found(
    installation: Installation,
) -> None:
    key = b"user-9"
    elsewhere = (installation.partition_of[key] + 1) % PARTITIONS
    value = msgspec.json.encode({"user_id": "user-9", "item_id": "1", "timestamp_ms": NOW})
    installation.publish([Outgoing(installation.clicks, elsewhere, key, value)])
    installation.rows.pop(key)  # the owner of that partition does not know the user
    installation.work()
    assert installation.settled().count(Kind.WRONG_PARTITION) == 1


def test_a_commit_beyond_the_log_is_found(installation: Installation) -> None:
    installation.commit(clicks=5)
    assert found(installation.verify())["beyond"] == PARTITIONS


def test_a_commit_ahead_of_what_was_applied_is_a_loss(installation: Installation) -> None:
    installation.send([Click(user_id="user-8", item_id="1", timestamp_ms=NOW + 10**6)])
    before = dict(installation.positions)
    installation.work(keep=lambda _: False)
    assert installation.positions != before
    assert found(installation.verify()) == {"lost": 1}


def test_a_row_that_claims_an_offset_beyond_the_log_is_found(installation: Installation) -> None:
    state = installation.state("user-8")
    source = next(iter(state.offsets))
    offsets = {**state.offsets, source: 10**6}
    installation.put("user-8", msgspec.structs.replace(state, offsets=offsets))
    assert installation.settled().count(Kind.BEYOND) == 1


def test_a_row_that_a_former_owner_wrote_late_is_no_finding(installation: Installation) -> None:
    old = installation.state("user-2")
    installation.send([Click(user_id="user-2", item_id="1", timestamp_ms=NOW + 10**6)])
    installation.work()
    installation.put("user-2", old, epoch=EPOCH - 1)
    report = installation.settled()
    assert found(report) == {}
    assert (report.notes["late_rows"], report.notes["stale_last"]) == (1, 1)
    assert found(installation.settled(strict=True)) == {"stale_last": 1}
    installation.put("user-2", installation.state("user-2"), epoch=EPOCH + 1)
    assert found(installation.settled(strict=True)) == {}


def test_an_older_row_of_the_same_owner_is_a_loss(installation: Installation) -> None:
    old = installation.state("user-2")
    installation.send([Click(user_id="user-2", item_id="1", timestamp_ms=NOW + 10**6)])
    installation.work()
    installation.put("user-2", old, epoch=EPOCH)
    assert found(installation.settled()) == {"lost": 1}


def test_a_damaged_row_is_found(installation: Installation) -> None:
    key = b"user-2"
    partition = installation.partition_of[key]
    installation.publish([Outgoing(installation.changelog, partition, key, b"no row")])
    assert found(installation.settled()) == {"damaged": 1}


def test_a_record_that_is_no_list_is_found(installation: Installation) -> None:
    record = Outgoing(installation.recommendations, 0, b"user-2", b"{}")
    installation.publish([record])
    assert found(installation.settled()) == {"damaged": 1}


def test_retries_with_an_event_id_are_no_finding(
    settings: Settings, recommender: Recommender
) -> None:
    made = Installation(settings, recommender)
    dice = random.Random(5)
    once = events(300, seed=5)
    twice = [event for event in once if event.event_id is not None and dice.random() < 0.3]
    stream = [*once[:200], *twice[:10], *once[200:], *twice[10:]]
    made.send(stream)
    made.work(batch=9)
    report = made.settled()
    assert found(report) == {}
    assert report.checked["events"] == len(stream)


def test_one_id_in_both_topics_is_no_finding(settings: Settings, recommender: Recommender) -> None:
    made = Installation(settings, recommender)
    kinds: tuple[type[Click | Purchase], ...] = (Click, Purchase)
    made.send(
        [
            kind(
                user_id="ann",
                item_id=str(number + 1),
                timestamp_ms=NOW + number,
                event_id=f"{number}",
            )
            for number in range(20)
            for kind in kinds
        ]
    )
    made.work(reverse=True)
    assert made.state("ann").duplicates == 20
    assert found(made.settled()) == {}


@pytest.mark.parametrize("keep", [lambda end: end // 2, lambda end: end])
def test_what_retention_deleted_is_no_finding(
    installation: Installation, keep: Callable[[int], int]
) -> None:
    installation.delete_records(installation.clicks, keep)
    report = installation.settled()
    assert found(report) == {}
    assert report.unchecked.total() > 0
    installation.delete_records(installation.recommendations, keep)
    assert found(installation.settled()) == {}
    assert found(installation.verify()) == {}


def test_a_loss_is_found_behind_what_retention_deleted(installation: Installation) -> None:
    installation.delete_records(installation.clicks, lambda end: end // 2)
    state = installation.state("user-0")
    cut = state.history[:-EVENT_BYTES]
    newest = msgspec.structs.replace(
        state,
        history=cut,
        last_timestamp_ms=int.from_bytes(cut[-10:-2], "little"),
    )
    installation.put("user-0", newest)
    assert found(installation.settled())["lost"] == 1


def test_a_removed_user_and_one_that_came_back_are_no_finding(installation: Installation) -> None:
    installation.remove("user-3")
    installation.remove("user-0")
    installation.send([Click(user_id="user-0", item_id="1", timestamp_ms=NOW + 10**6)])
    installation.work()
    report = installation.settled()
    assert found(report) == {}
    assert report.notes["removed_users"] == 1
    assert report.unchecked["events_of_removed_users"] > 0


def test_a_range_in_time_and_in_number(installation: Installation) -> None:
    newest_ms = max(record.timestamp_ms for record in installation.source_records())
    since_ms = newest_ms + 1
    while time.time_ns() // 1_000_000 < since_ms:  # append times have a resolution of 1 ms
        pass
    installation.send(events(40, seed=6, start_ms=NOW + 10**6))
    installation.work()
    report = installation.settled(since_ms=since_ms)
    assert (found(report), report.checked["events"]) == ({}, 40)
    report = installation.settled(max_events=80)
    assert found(report) == {}
    assert 0 < report.checked["events"] <= 80
    report = installation.settled(partitions=(1,))
    assert found(report) == {}
    assert all("/1" in place for place in report.range)


def test_a_killed_worker_and_the_next_leave_nothing_to_find(settings, start_worker) -> None:
    """Not our own writer this time: live while it runs, settled when it is done."""
    made = events(1500, seed=7)
    first = start_worker(settings).wait_until_ready()
    send(settings, made[:750])
    wait_for(lambda: applied_events(settings) >= 200, "some events applied")
    first.kill()
    second = start_worker(settings).wait_until_ready()
    send(settings, made[750:])
    wait_for(lambda: applied_events(settings) >= 900, "more events applied")
    wait_for(lambda: bool(asyncio.run(committed_offsets(settings))), "a commit")
    live = asyncio.run(verify(settings, Scope()))
    assert found(live) == {}, live.as_dict()
    ends = Counter(f"{r.topic}/{r.partition}" for r in read(settings, "clicks", "purchases"))
    wait_for(
        lambda: asyncio.run(committed_offsets(settings)) == ends,
        "everything committed",
    )
    settled = asyncio.run(verify(settings, Scope(settled=True)))
    assert found(settled) == {}, settled.as_dict()
    assert settled.checked["events"] == len(made)
    assert second.terminate() == 0


def test_the_command_prints_one_json_object(installation: Installation) -> None:
    done = command(installation.settings, "--settled", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert report["settled"] is True
    assert report["checked"]["events"] == 400
    assert report["lost"] == {"count": 0, "examples": []}
    state = installation.state("user-5")
    installation.put("user-5", msgspec.structs.replace(state, history=state.history[EVENT_BYTES:]))
    done = command(installation.settings, "--settled", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["ok"], report["lost"]["count"]) == (False, 1)
    assert "user-5" not in done.stdout
    shown = command(installation.settings, "--settled", "--show-users")
    assert shown.returncode == 1
    assert "user user-5" in shown.stdout
    assert "NOT consistent" in shown.stdout


def test_the_command_says_what_it_cannot_check(settings: Settings) -> None:
    done = command(settings)
    assert done.returncode == 2
    assert "has no committed offsets" in done.stderr
    assert command(settings, "--partitions", "9").returncode == 2
    assert command(settings, "--since", "yesterday").returncode == 2
    assert command(settings, "--app-id", "unknown").returncode == 2
    nowhere = f"127.0.0.1:{free_port()}"
    assert command(settings, "--bootstrap-servers", nowhere).returncode == 3


def command(settings: Settings, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "stream_app", "verify",
            "--bootstrap-servers", settings.bootstrap_servers, "--app-id", settings.app_id,
            "--topic-prefix", settings.topic_prefix, *options,
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
