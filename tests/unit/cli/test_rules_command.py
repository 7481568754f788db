"""`stream-app rules check`: what a file must be like, said without Kafka."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stream_app.cli.rules import command
from stream_app.errors import UserError

GOOD = {"rule_id": "summer", "items": "'lamps' in item.categories", "boost": 0.5}


def check(*files: Path) -> Result:
    return CliRunner().invoke(command, ["check", *map(str, files)])


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_rules_in_toml_and_json_are_valid(tmp_path: Path) -> None:
    one = written(tmp_path, "summer.json", json.dumps(GOOD))
    other = written(
        tmp_path,
        "hero.toml",
        'rule_id = "hero"\nitems = """\nitem.item_id == "318" &&\nitem.price < 5.0"""\n'
        'when = "user.events > 3"\npin = 2\n',
    )
    result = check(one, other)
    assert result.exit_code == 0, result.output
    assert f"{one}: rule summer is valid: boost 0.5\n" in result.output
    assert f"{other}: rule hero is valid: pin 2, for some lists\n" in result.output


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"items": "item.prise < 5.0"}, "rule summer: items: line 1, column 5: undeclared"),
        ({"items": "true &&\n item.price < 5"}, "items: line 2, column 13: found no matching"),
        ({"when": "item.price < 5.0"}, "rule summer: when: line 1, column 5: undeclared"),
        ({"boost": None}, "here is none of them"),
        ({"exclude": True}, "here is boost and exclude"),
        ({"boost": 21}, "`float` <= 20.0"),
        ({"boost": None, "pin": 0}, "`int` >= 1"),
        ({"items": ""}, "length >= 1"),
        ({"items": "x" * 4001}, "length <= 4000"),
        ({"from_ms": 5, "until_ms": 5}, "until_ms 5 is not after from_ms 5"),
        ({"rule_id": ""}, "rule_id"),
        ({"rule_id": "é" * 129}, "more than 256"),
    ],
)
def test_a_bad_rule_is_refused_with_its_file_and_place(tmp_path: Path, changes, says) -> None:
    fields = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    file = written(tmp_path, "rule.json", json.dumps(fields))
    error = check(file).exception
    assert isinstance(error, UserError)
    assert str(error).startswith(f"{file}: ")
    assert says in str(error)


def test_what_is_no_rule_at_all_is_refused(tmp_path: Path) -> None:
    for text in ("", "[1]", "{", "a = 1"):
        error = check(written(tmp_path, "rule.json", text)).exception
        assert isinstance(error, UserError), text
    error = check(tmp_path / "none.json").exception
    assert isinstance(error, UserError)
