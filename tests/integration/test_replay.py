"""Corrected dead letters go back exactly once, whatever happens to the replay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from stream_app.settings import Settings
from tests.integration.conftest import PARTITIONS
from tests.integration.topics import applied_events, dead_letters, read, send_raw, states, wait_for

NOW = 1_700_000_000_000
COUNT = 40

# A replay whose process is gone after some records: no handler runs, nothing is flushed.
KILLED = """
import os, signal, sys
from stream_app.streaming.clients import EventSender
send_raw, sent = EventSender.send_raw, 0

async def counted(self, *record):
    global sent
    if sent == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    future = await send_raw(self, *record)
    await future
    sent += 1
    return future

EventSender.send_raw = counted
from stream_app.cli import main
sys.argv[0] = "stream-app"
main()
"""


def bad(number: int) -> tuple[bytes, bytes]:
    user = f"user-{number % 7}"
    fields = {"user_id": user, "item_id": number + 1, "timestamp_ms": NOW + number}
    return user.encode(), msgspec.json.encode(fields)


@pytest.fixture
def rejected(settings, start_worker) -> Settings:
    """A worker that serves, and events with a number for an item in its dead letters."""
    start_worker(settings).wait_until_ready()
    send_raw(settings, settings.topic_prefix + "clicks", [bad(n) for n in range(COUNT)])
    wait_for(lambda: len(dead_letters(settings)) == COUNT, "the dead letters")
    return settings


def export(settings: Settings, path: Path, *, correct: bool = True) -> Path:
    lines = []
    for raw in command(settings, "export").stdout.splitlines():
        line = json.loads(raw)
        if correct:
            line["value"]["json"]["item_id"] = str(line["value"]["json"]["item_id"])
        lines.append(json.dumps(line))
    path.write_text("\n".join(lines))
    return path


def assert_replayed_once(settings: Settings) -> None:
    """One record on the topic for each rejected one, each applied to its user once."""
    assert origins(settings) == Counter(
        f"{one.topic}/{one.partition}@{one.offset}" for one in dead_letters(settings)
    )
    wait_for(lambda: applied_events(settings) == COUNT, "every corrected event")
    assert sum(state.duplicates for state in states(settings).values()) == 0
    assert len(dead_letters(settings)) == COUNT


def origins(settings: Settings) -> Counter[str]:
    return Counter(
        value.decode()
        for record in read(settings, "clicks")
        for name, value in record.headers
        if name == "replayed-from"
    )


def test_a_second_replay_sends_nothing(rejected, tmp_path) -> None:
    file = str(export(rejected, tmp_path / "letters.jsonl"))
    assert f"would send {COUNT} records" in command(rejected, "replay", file, "--dry-run").stdout
    assert f"sent {COUNT} records" in command(rejected, "replay", file).stdout
    assert f"sent 0 records, left {COUNT} that were sent before" in (
        command(rejected, "replay", file).stdout
    )
    assert_replayed_once(rejected)


@pytest.mark.parametrize("after", [0, 1, 17, COUNT - 1])
def test_a_replay_killed_between_two_records_is_finished_by_the_next(
    rejected, tmp_path, after: int
) -> None:
    file = str(export(rejected, tmp_path / "letters.jsonl"))
    killed = command(rejected, "replay", file, code=KILLED.format(after=after), check=False)
    assert killed.returncode == -9, killed.stderr
    assert origins(rejected).total() == after
    assert f"sent {COUNT - after} records, left {after}" in (
        command(rejected, "replay", file).stdout
    )
    assert_replayed_once(rejected)


def test_two_replays_at_a_time_are_applied_once(rejected, tmp_path) -> None:
    """Both may send; the event id that names the origin lets the worker drop the second."""
    file = str(export(rejected, tmp_path / "letters.jsonl"))
    both = [start(rejected, "replay", file) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, (out, err)
    sent = origins(rejected)
    assert set(sent) == {f"{r.topic}/{r.partition}@{r.offset}" for r in dead_letters(rejected)}
    assert max(sent.values()) <= 2
    wait_for(
        lambda: (
            sum(one.events + one.duplicates for one in states(rejected).values()) == sent.total()
        ),
        "all that was sent",
    )
    assert applied_events(rejected) == COUNT


def test_a_wrong_correction_is_refused_and_nothing_is_sent(rejected, tmp_path) -> None:
    file = export(rejected, tmp_path / "letters.jsonl")
    lines = file.read_text().splitlines()
    fourth = json.loads(lines[3])
    fourth["value"]["json"]["item_id"] = ""
    lines[3] = json.dumps(fourth)
    file.write_text("\n".join(lines))
    refused = command(rejected, "replay", str(file), check=False)
    assert refused.returncode == 2
    assert "nothing was sent" in refused.stderr
    assert "line 4: value: validation_error" in refused.stderr
    assert "item_id" in refused.stderr
    assert origins(rejected).total() == 0


def test_originals_are_replayed_once_too(rejected) -> None:
    assert f"sent {COUNT} records" in command(rejected, "replay").stdout
    wait_for(lambda: len(dead_letters(rejected)) == 2 * COUNT, "rejected again")
    # The first ones are known; what was rejected again is a new dead letter, and sent once.
    assert f"sent {COUNT} records, left {COUNT} that were" in command(rejected, "replay").stdout


def test_what_retention_has_made_unknowable_is_refused(rejected, tmp_path) -> None:
    file = str(export(rejected, tmp_path / "letters.jsonl"))
    delete_all_records(rejected, rejected.topic_prefix + "clicks")
    refused = command(rejected, "replay", file, check=False)
    assert refused.returncode == 2
    assert "--never-before" in refused.stderr
    assert f"sent {COUNT} records" in command(rejected, "replay", file, "--never-before").stdout
    wait_for(lambda: applied_events(rejected) == COUNT, "every corrected event")


def delete_all_records(settings: Settings, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    ends = [TopicPartition(topic, number, OFFSET_END) for number in range(PARTITIONS)]
    for future in admin.delete_records(ends).values():
        future.result(30)


def start(settings: Settings, *arguments: str, code: str | None = None) -> subprocess.Popen[str]:
    name, *options = arguments
    run = ["-m", "stream_app"] if code is None else ["-c", code]
    return subprocess.Popen(
        [
            sys.executable, *run, "dead-letters", name,
            "--bootstrap-servers", settings.bootstrap_servers,
            "--topic-prefix", settings.topic_prefix, *options,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
    )  # fmt: skip


def command(settings: Settings, *arguments: str, check: bool = True, **options: Any) -> Any:
    process = start(settings, *arguments, **options)
    out, err = process.communicate(timeout=60)
    if check:
        assert process.returncode == 0, err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
