"""Every command that has a result can print it as JSON, and prints nothing else with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from schemas import encode
from schemas.rules import Rule
from stream_app.cli import COMMANDS, group

EXAMPLE = Path(__file__).parents[3] / "examples" / "movielens" / "bundle"
WITHOUT_RESULT = {
    "broker": "runs until it is stopped",
    "completion": "prints a script",
    "gateway": "runs until it is stopped",
    "worker": "runs until it is stopped",
    "tail": "prints JSON lines",
    "dead-letters export": "prints JSON lines, a file for replay",
}


def leaves() -> Iterator[tuple[str, click.Command]]:
    for name in COMMANDS:
        command = group.get_command(None, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", one) for sub, one in command.commands.items())
        elif command is not None:
            yield name, command


def test_every_command_with_a_result_has_the_option() -> None:
    lacking = {
        name
        for name, command in leaves()
        if "--json" not in {flag for parameter in command.params for flag in parameter.opts}
    }
    assert lacking == WITHOUT_RESULT.keys()


@pytest.fixture
def rule(tmp_path: Path) -> Path:
    file = tmp_path / "rule.json"
    file.write_bytes(encode(Rule(rule_id="no", items="item.item_id == '1'", exclude=True), "json"))
    return file


def test_what_needs_no_broker_prints_one_document(rule: Path, tmp_path: Path) -> None:
    """Those that need one are run in tests/integration/test_operators.py."""
    bundle, key = str(EXAMPLE), tmp_path / "release.key"
    (tmp_path / "copy").mkdir()
    for file in EXAMPLE.iterdir():
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    copy = str(tmp_path / "copy")
    commands: dict[str, tuple[list[str], int]] = {
        "bundle keygen": ([str(key), str(tmp_path / "release.pub")], 0),
        "bundle sign": ([copy, "--key", str(key)], 0),
        "bundle verify": ([copy, "--public-key", str(tmp_path / "release.pub")], 0),
        "benchmark encoder": ([bundle, "--batch", "1", "--seconds", "0.01"], 0),
        "compile": ([copy, "--precision", "fp16"], 0),
        "rules check": ([str(rule)], 0),
        "schemas generate": (["--directory", str(tmp_path)], 0),
        "schemas check": (["--directory", str(tmp_path)], 0),
        "health": (["--metrics-port", "1"], 1),
        "doctor": (["--check", "open-files"], 0),
    }
    for name, (arguments, code) in commands.items():
        result = CliRunner().invoke(group, [*name.split(), *arguments, "--json"])
        assert result.exit_code == code, (name, result.output, result.exception)
        assert result.stdout.count("\n") == 1, name
        assert json.loads(result.stdout), name
