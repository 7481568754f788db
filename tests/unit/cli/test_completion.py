"""Shells complete commands and options, and do not wait for what only workers or training need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream_app.cli import COMMANDS
from tests.programs import program

HEAVY = ("torch", "faust", "onnxruntime")


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which `stream-app` is this one."""
    script = tmp_path / "stream-app"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stream_app "$@"\n')
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def completed(environment: dict[str, str], *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    ask = (
        "source <(stream-app completion bash)\n"
        'COMP_WORDS=("$@")\n'
        "COMP_CWORD=$(($# - 1))\n"
        "_stream_app_completion stream-app\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    done = subprocess.run(
        [program("bash"), "-c", ask, "bash", "stream-app", *words],
        capture_output=True, text=True, env=environment, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_options_and_values(installed: dict[str, str]) -> None:
    assert completed(installed, "st") == ["status"]
    assert completed(installed, "topics", "c") == ["check", "create"]
    assert completed(installed, "worker", "--state-") == ["--state-store", "--state-dir"]
    assert completed(installed, "completion", "") == ["bash", "zsh", "fish"]
    assert set(completed(installed, "")) == set(COMMANDS)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script(shell: str, installed: dict[str, str]) -> None:
    done = subprocess.run(
        ["stream-app", "completion", shell], capture_output=True, text=True, env=installed
    )
    assert done.returncode == 0
    assert f"_STREAM_APP_COMPLETE={shell}_complete" in done.stdout


def test_completing_imports_nothing_heavy() -> None:
    """The options of every command, and of those below it, in one process."""
    script = f"""
import sys, click
from click.shell_completion import ShellComplete
from stream_app.cli import COMMANDS, PROGRAM, group
def complete(*words):
    found = ShellComplete(group, {{}}, PROGRAM, "X").get_completions(list(words), "--")
    assert any(item.value == "--help" for item in found), words
    return found
complete()
print([name for name in {HEAVY} if name in sys.modules], "aiokafka" in sys.modules)
for name in COMMANDS:
    command = group.get_command(None, name)
    complete(name)
    for sub in getattr(command, "commands", {{}}):
        complete(name, sub)
print([name for name in ("torch", "faust") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[] False\n[]\n", done.stderr
