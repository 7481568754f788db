"""The demo runs by itself from start to end and audits what it did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import nullcontext

import psutil
import pytest
from click.testing import CliRunner

from stream_app.cli.demo import command
from stream_app.demo import session, stream


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream_app", "demo", *options],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def test_headless_prints_one_line_of_json_with_nothing_lost() -> None:
    result = run("--headless", "--events", "600", "--json")
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    figures = json.loads(line)
    assert figures["events"] == figures["applied"] == 600
    assert (figures["lost"], figures["duplicated"], figures["dead_letters"]) == (0, 0, 0)
    assert figures["recommendations"] + figures["coalesced"] == 600
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p99"]
    assert figures["predictions"] > 0
    for name in ("hit_rate_at_10", "popularity_hit_rate_at_10", "transition_hit_rate_at_10"):
        assert 0 <= figures[name] <= 1


@pytest.mark.parametrize("to_all", [True, False], ids=["Ctrl-C", "SIGTERM"])
def test_it_prints_lines_and_a_summary_and_stays_until_it_is_stopped(to_all: bool) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "stream_app", "demo", "--events", "300", "--stay"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,  # so that Ctrl-C can be sent as a terminal does: to all of them
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )  # fmt: skip
    try:
        assert demo.stdout is not None
        lines = []
        while not lines or "Ctrl-C ends" not in lines[-1]:
            lines.append(demo.stdout.readline())
            assert lines[-1], lines
        printed = "".join(lines)
        assert "stream: " in printed
        assert "lost, duplicated" in printed
        assert "0, 0" in printed
        assert lines[-2].startswith("commands: stream-app status --bootstrap-servers 127.0.0.1:")
        address = lines[-1].split()[1]
        with urllib.request.urlopen(f"{address}/api/users", timeout=30) as response:
            users = json.load(response)["users"]
        assert users
        assert users[0]["last_item"]["title"] != users[0]["last_item"]["item_id"]
        started = psutil.Process(demo.pid).children(recursive=True)
        assert len(started) >= 2  # a broker and a worker
        if to_all:
            os.killpg(demo.pid, signal.SIGINT)
        else:
            demo.send_signal(signal.SIGTERM)
        notes = _notes_at_the_end(demo, started)
        assert demo.returncode == 0, notes
        assert not psutil.wait_procs(started, timeout=30)[1]
        assert f"Inspector: {address}" in notes  # also while it streams
    finally:
        demo.kill()


def _notes_at_the_end(demo: subprocess.Popen[str], started: list[psutil.Process]) -> str:
    """What it has printed on stderr; fails with where it stands when it does not end."""
    try:
        return demo.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        left = [(one.pid, one.name()) for one in started if one.is_running()]
        demo.send_signal(signal.SIGABRT)
        raise AssertionError(f"{left} run\n{demo.communicate(timeout=20)[1]}") from None


def test_without_a_worker_it_gives_up_and_audits(settings, monkeypatch) -> None:
    monkeypatch.setattr(session, "session", lambda *_: nullcontext(settings))
    monkeypatch.setattr(stream, "QUIET_S", 0.5)
    result = CliRunner().invoke(command, ["--headless", "--events", "20", "--json"])
    assert result.exit_code == 1
    assert "is the worker alive?" in result.stderr
    figures = json.loads(result.stdout)
    assert figures["lost"] == figures["history_events"] > 0
    assert (figures["events"], figures["applied"], figures["release"]) == (0, 0, None)


def test_a_missing_data_set_is_named() -> None:
    result = run("--data", "no/such/data")
    assert result.returncode == 2
    assert "no/such/data" in result.stderr
    assert "Traceback" not in result.stderr
