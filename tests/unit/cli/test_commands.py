"""The command line: what it offers, and how it says no."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from agents.command import command as worker
from schemas import Click, Purchase
from stream_app.cli import COMMANDS, group
from stream_app.cli import demo as demo_command
from stream_app.cli.produce import parse_event
from stream_app.cli.tail import printable
from stream_app.errors import UserError
from stream_app.settings import Settings

NOW = 1_700_000_000_000


def run(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        input=given, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads_and_explains_itself(name: str) -> None:
    command = group.get_command(None, name)
    assert command is not None
    assert command.help


def test_help_lists_every_command() -> None:
    shown = run("--help").stdout
    for name, (_, about) in COMMANDS.items():
        assert name in shown
        assert about.split(".")[0][:20] in shown


def test_the_readme_lists_every_command() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {about} |" for name, (_, about) in sorted(COMMANDS.items())]
    assert "\n".join(rows) in readme


def test_an_unknown_command_is_named() -> None:
    result = run("wroker")
    assert result.returncode == 2
    assert "No such command 'wroker'" in result.stderr


def test_a_worker_starts_without_what_only_training_or_the_demo_needs() -> None:
    script = (
        "import sys, agents.command; "
        "print([m for m in ('torch', 'rich', 'jgo', 'onnx') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_every_setting_is_a_flag_of_the_worker() -> None:
    flags = {flag for parameter in worker.params for flag in parameter.opts}
    assert flags >= {f"--{item.name.replace('_', '-')}" for item in fields(Settings)}


@pytest.mark.parametrize(
    ("flag", "given", "said"),
    [
        ("--index", "tree", "index is 'tree'; it must be one of auto, exact, hnsw"),
        ("--batch-max", "0", "batch_max is 0; it must be from 1 to 10000"),
    ],
)
def test_a_worker_refuses_a_flag_with_the_words_of_the_settings(
    flag: str, given: str, said: str
) -> None:
    result = run("worker", flag, given)
    assert result.returncode == 2
    assert said in result.stderr


def test_a_demo_without_examples_says_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_command, "EXAMPLE", tmp_path)
    demo_command.require_example(tmp_path, Path("no/such/data"))  # a path that was given
    with pytest.raises(UserError, match=r"checkout.* or pass --data and --bundle"):
        demo_command.require_example(tmp_path / "bundle")


def test_an_error_is_one_line_and_a_code() -> None:
    result = run("topics", "check", "--bootstrap-servers", "nowhere")
    assert result.returncode == 2
    assert result.stderr.startswith("stream-app: error: bootstrap_servers is 'nowhere'")
    assert len(result.stderr.splitlines()) == 1


def test_produce_names_the_line_that_is_no_event() -> None:
    result = run("produce", "--bootstrap-servers", "127.0.0.1:1", "-", given="{}\n")
    assert result.returncode in (2, 3)
    assert "stream-app: error:" in result.stderr


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"user_id": "u", "item_id": "i"}', Click),
        ('{"user_id": "u", "item_id": "i", "action": "like"}', Click),
        ('{"user_id": "u", "item_id": "i", "action": "purchase"}', Purchase),
        ('{"user_id": "u", "item_id": "i", "quantity": 2}', Purchase),
        ('{"user_id": "u", "item_id": "i", "price": 1.5, "timestamp_ms": 5}', Purchase),
    ],
)
def test_a_line_becomes_a_click_or_a_purchase(line: str, kind: type) -> None:
    event = parse_event(line, NOW)
    assert type(event) is kind
    assert event.timestamp_ms == (5 if "timestamp_ms" in line else NOW)


@pytest.mark.parametrize("line", ["", "[]", '{"user_id": "u"}', '{"user_id": 1, "item_id": "i"}'])
def test_a_line_that_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_event(line, NOW)


def test_any_value_can_be_printed() -> None:
    assert printable(None) == "null"
    assert printable(b'{"a": 1}') == '{"a":1}'
    assert printable(b"\x81\xa1a\x01") == '{"a":1}'
    assert printable(b"\xff\xfe") == repr(b"\xff\xfe")


def test_a_first_process_can_be_stopped_at_any_time() -> None:
    """A container runs it as process 1, for which the kernel drops signals without a handler."""
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"]).returncode:
        pytest.skip("no PID namespaces can be made here (unshare)")
    script = (
        "import os, signal\n"
        "from stream_app import cli\n"
        "def group(**_):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('process', os.getpid(), 'is still here')\n"
        "cli.group = group\n"
        "cli.main()"
    )
    result = subprocess.run(
        [*unshare, sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout) == (128 + signal.SIGTERM, ""), result.stderr
