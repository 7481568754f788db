"""docs/exit-codes.md says what the commands do."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from stream_app import cli
from stream_app.cli import COMMANDS, INTERRUPTED, exit_codes
from stream_app.errors import UserError
from stream_app.streaming.exits import ExitCode
from stream_app.streaming.refusals import NoBrokerError

DOCUMENT = Path(__file__).parents[3] / "docs" / "exit-codes.md"


def test_the_document_has_the_tables() -> None:
    assert exit_codes.tables() in DOCUMENT.read_text()


def test_codes_of_all_commands_are_those_of_the_errors() -> None:
    codes = {UserError.exit_code, NoBrokerError.exit_code, ExitCode.PROCESSING, INTERRUPTED}
    assert exit_codes.ALL.keys() - {0, 1} == codes | {128 + signal.SIGTERM}


def test_a_worker_ends_with_the_codes_that_are_listed() -> None:
    listed = exit_codes.SOME["worker"].keys() | exit_codes.ALL.keys()
    assert set(ExitCode) <= listed


def test_the_commands_that_answer_no_are_those_that_are_listed() -> None:
    answering = set()
    for name, (module, _) in COMMANDS.items():
        source = Path(str(import_module(module).__file__)).read_text()
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        ends = {ast.unparse(call) for call in calls if ast.unparse(call.func).endswith("xit")}
        assert ends <= {"click.exceptions.Exit(FOUND)"}, (name, ends)
        answering |= {name} if ends else set()
    listed = {name.split()[0] for name in exit_codes.SOME} - {"worker"}
    assert answering == listed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nonsense"], 2, "No such command"),
        (["topics", "nonsense"], 2, "No such command"),
        (["topics", "create", "--partitions", "many"], 2, "not a valid integer"),
        (["status", "--metrics", "here"], 2, "is not HOST:PORT"),
        (["status", "--watch", "0"], 2, "not in the range"),
        (["completion", "tcsh"], 2, "is not one of"),
        (["doctor", "--check", "everything"], 2, "is not one of"),
        (["topics", "check", "--bootstrap-servers", "nowhere"], 2, "write host:port"),
        (["topics", "check", "--bootstrap-servers", "127.0.0.1:1"], 3, "no Kafka broker answers"),
        (["status", "--bootstrap-servers", "127.0.0.1:1"], 3, "no Kafka broker answers"),
        (["health", "--metrics-port", "1", "--json"], 1, '"passed":false'),
        (["--help"], 0, "Commands"),
    ],
)
def test_commands_end_with_these_codes(arguments: list[str], code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt, 130), (ZeroDivisionError, 70)])
def test_what_no_command_catches(
    raised: type[BaseException], code: int, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(cli.group, "invoke", failing)
    monkeypatch.setattr(sys, "argv", ["stream-app", "health"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert ("Traceback" in capsys.readouterr().err) == (code == 70)
