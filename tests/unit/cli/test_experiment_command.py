"""What `stream-app experiment` refuses before it asks any broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_app.cli.experiment import command
from stream_app.errors import UserError


def run(*arguments: str) -> None:
    CliRunner().invoke(command, arguments, catch_exceptions=False)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("page.toml", "name = ", r"page\.toml: .*; write TOML \(\*\.toml\) or JSON"),
        ("page.json", "name: page", r"page\.json: JSON is malformed.*; write TOML"),
        ("page.json", None, r"page\.json: No such file or directory"),
    ],
)
def test_a_file_that_says_nothing_is_refused(
    tmp_path: Path, name: str, text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        run("put", str(tmp_path / name))


@pytest.mark.parametrize("option", ["--window", "--every"])
def test_a_duration_that_is_none_is_refused(option: str) -> None:
    with pytest.raises(UserError, match=f"{option} is 'soon'; write a duration such as 90s, 15m"):
        run("guard", "page", option, "soon")
