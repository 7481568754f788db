"""What operators ask: `doctor` names planted faults and their cures, `status` says how it goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas import Click
from stream_app.broker import EmbeddedKafka
from stream_app.cli import group
from stream_app.cli.doctor import command as doctor
from stream_app.cli.status import command as status
from stream_app.demo.session import free_port
from stream_app.doctor.examine import NAMES, examine
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.clock import now_ms
from tests.integration.conftest import BUNDLE
from tests.integration.planted import FAULTS, HOUR_MS, PARTITIONS
from tests.integration.topics import lists, send, send_raw, wait_for
from tests.integration.worker import WorkerProcess


def installation(kafka: EmbeddedKafka, name: str) -> Settings:
    made = Settings(
        bootstrap_servers=kafka.bootstrap,
        app_id=name,
        topic_prefix=f"{name}.",
        bundle=str(BUNDLE),
        metrics_port=free_port(),
        session_timeout_s=6,
    )
    asyncio.run(topics.create(made, PARTITIONS, replication=1))
    return made


@pytest.fixture(scope="module")
def idle(kafka: EmbeddedKafka) -> Settings:
    """Topics without a worker, into which faults are planted one after the other."""
    return installation(kafka, "idle")


@pytest.fixture(scope="module")
def served(
    kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    """A worker that has answered events and rejected one."""
    settings = installation(kafka, "served")
    worker = WorkerProcess(settings, tmp_path_factory.mktemp("served") / "log")
    try:
        worker.wait_until_ready()
        users = [f"user-{number}" for number in range(8)]
        send(settings, [Click(user_id=one, item_id="318", timestamp_ms=1) for one in users])
        send_raw(settings, "served.clicks", [(b"ann", b"{}")])
        wait_for(lambda: len(lists(settings)) == len(users), "the lists")
        wait_for(lambda: look(settings)["lag"] == 0, "the commits")
        yield worker
    finally:
        worker.kill()


def ask(command, settings: Settings, *arguments: str) -> Result:
    return CliRunner(env=settings.environment()).invoke(command, arguments)


def look(settings: Settings, *arguments: str) -> dict:
    return json.loads(ask(status, settings, "--json", *arguments).stdout)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_with_its_cure_and_gone_with_it(
    fault: str, idle: Settings, tmp_path: Path
) -> None:
    check, what, cure, plant = FAULTS[fault]
    before = examine(idle, [check])
    assert before.findings == []
    assert before.checked or before.not_checked
    with plant(idle, tmp_path) as settings:
        fill = partial(
            str.format, servers=settings.bootstrap_servers, bundle=settings.bundle,
            port=settings.metrics_port,
        )  # fmt: skip
        found = examine(settings, [check]).findings
        said = ask(doctor, settings, "--check", check)
    named = [one for one in found if fill(what) in one.what and fill(cure) in (one.command or "")]
    assert named, found
    assert all(one.why and one.fix for one in found)
    assert said.exit_code == 1
    assert fill(what) in said.stdout
    assert fill(cure) in said.stdout
    assert examine(idle, [check]).findings == []


def test_workers_that_are_gone_while_events_wait_are_found(idle: Settings) -> None:
    send(idle, [Click(user_id="ann", item_id="318", timestamp_ms=1)])
    (finding,) = examine(idle, ["group"]).findings
    assert "the group idle: start `stream-app worker`" in finding.what
    assert "1 records wait" in finding.why


def test_a_clock_that_is_behind_the_brokers_is_found(served: WorkerProcess) -> None:
    late = examine(served.settings, ["clock"], clock_ms=lambda: now_ms() - HOUR_MS)
    (finding,) = late.findings
    assert "this machine's clock is behind the brokers' by 3" in finding.what
    assert finding.command == "timedatectl set-ntp true"


def test_a_healthy_cluster_with_a_worker_has_no_finding(served: WorkerProcess) -> None:
    """Its port is taken by the worker itself, which is as it should be."""
    result = ask(doctor, served.settings, "--json")
    report = json.loads(result.stdout)
    assert report["findings"] == []
    assert result.exit_code == 0
    assert {*report["checked"], *report["not_checked"]} == set(NAMES)
    assert report["not_checked"].keys() <= {"state-directory", "clock"}


def test_status_of_a_worker_that_serves(served: WorkerProcess) -> None:
    settings = served.settings
    address = f"127.0.0.1:{settings.metrics_port}"
    found = look(settings, "--metrics", address)
    assert found["problems"] == []
    assert (found["lag"], found["lists"], found["dead_letters"]) == (0, 8, {"validation_error": 1})
    (member,) = found["group"]["members"]
    release = "movielens-small@0.1.0 on onnxruntime-cpu"
    assert (member["host"], member["release"]) == ("127.0.0.1", release)
    assert {"served.clicks/0", "served.purchases/1"} <= set(member["partitions"])
    assert found["group"]["unowned"] == []
    # From append to append, though the events themselves say that they are of 1970.
    assert found["freshness"]["lists"] == 8
    assert 0 <= found["freshness"]["p50_ms"] <= found["freshness"]["max_ms"] < HOUR_MS
    (worker,) = found["workers"]
    assert (worker["ready"], worker["release"], worker["users"]) == (True, release, 8)
    result = ask(status, settings)
    assert result.exit_code == 0
    assert result.stdout.startswith("all is well")
    assert f"partitions 0, 1; {release}" in result.stdout


def test_status_says_what_is_not_there(kafka: EmbeddedKafka, idle: Settings) -> None:
    absent = replace(idle, app_id="absent", topic_prefix="absent.")
    result = ask(status, absent)
    assert result.exit_code == 1
    assert "problem: topics are missing: absent.clicks" in result.stdout
    assert "problem: no worker has joined the group absent" in result.stdout
    found = look(idle, "--metrics", f"127.0.0.1:{free_port()}")
    assert found["problems"][0]["kind"] == "no-worker"
    assert found["problems"][-1]["kind"] == "not-ready"
    assert found["notes"] == ["no list has been made yet"]
    assert found["freshness"] is None


def test_every_command_prints_one_json_document(served: WorkerProcess, tmp_path: Path) -> None:
    """Those that need a broker; the others are in tests/unit/cli/test_json_everywhere.py."""
    files = {
        "rule": {"rule_id": "no", "items": "item.item_id == '1'", "exclude": True},
        "scenario": {"name": "fresh", "sources": {"trending": 0}},
        "experiment": {"name": "trial", "arms": [{"name": name, "share": 0.5} for name in "ab"]},
        "events": {"user_id": "bob", "item_id": "318"},
    }
    for name, said in files.items():
        (tmp_path / name).write_text(json.dumps(said) + "\n")
    given = {name: str(tmp_path / name) for name in files}
    shown: dict[str, Any] = {}
    for line in (
        "topics create --partitions 2", "topics check", "topics list",
        "rules put {rule}", "rules list", "rules withdraw no",
        "scenarios put {scenario}", "scenarios list", "scenarios withdraw fresh",
        "experiment put {experiment}", "experiment list", "experiment end trial --forget",
        "produce {events}", "dead-letters list", "dead-letters replay --dry-run",
        "request ann -k 1", "explain --user user-1", "attribution", "erase bob --wait", "verify",
    ):  # fmt: skip
        arguments = [word.format_map(given) for word in line.split()]
        result = ask(group, served.settings, *arguments, "--json")
        assert result.exit_code == 0, (line, result.output, result.exception)
        assert result.stdout.count("\n") == 1, (line, result.stdout)
        shown[" ".join(line.split()[:2])] = json.loads(result.stdout)
    assert shown["topics check"] == {"partitions": PARTITIONS, "warnings": []}
    assert shown["topics list"]["served.clicks"] == PARTITIONS
    assert [one["rule_id"] for one in shown["rules list"]["rules"]] == ["no"]
    assert [one["name"] for one in shown["scenarios list"]["scenarios"]] == ["fresh"]
    assert shown["produce {events}"] == {"kind": "events", "sent": 1}
    assert shown["dead-letters list"]["by_reason"] == {"validation_error": 1}
    assert shown["dead-letters replay"]["sent"] == 1


def test_status_names_records_that_wait_and_that_were_lost(served: WorkerProcess) -> None:
    """Last, as it stops the worker."""
    settings = served.settings
    served.terminate()
    send(settings, [Click(user_id="ann", item_id="318", timestamp_ms=1)])
    waiting = look(settings, "--late", "0.000001")
    assert {"no-worker", "late"} <= {one["kind"] for one in waiting["problems"]}
    assert waiting["lag"] == 1
    click = next(one for one in waiting["partitions"] if one["lag"])

    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    until = TopicPartition(click["topic"], click["partition"], click["end"])
    for future in admin.delete_records([until]).values():
        future.result(30)
    wait_for(lambda: "lost" in {one["kind"] for one in look(settings)["problems"]}, "the loss")
    (lost,) = examine(settings, ["group"]).findings
    assert "1 records were deleted before a worker had read them" in lost.what
    assert "--entity-name served.clicks --add-config retention.ms=" in str(lost.command)
