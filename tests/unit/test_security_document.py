"""docs/security.md names a test for every threat; each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def named_tests() -> list[tuple[str, str]]:
    """Path and function; a name that begins with `::` is in the file named before it."""
    found, path = [], ""
    for reference in re.findall(r"`((?:tests/[\w/]+\.py)?(?:::\w+)?)`", TEXT):
        file, _, name = reference.partition("::")
        path = file or path
        if reference:
            found.append((path, name))
    return found


def test_every_test_that_is_named_exists() -> None:
    named = named_tests()
    assert len(named) > 30
    for path, name in named:
        assert (ROOT / path).is_file(), path
        if name:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {name}\(", source, re.MULTILINE), f"{path}::{name}"


def test_every_threat_has_a_test() -> None:
    table = TEXT.partition("## Threats")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 15
    for row in rows:
        assert "`tests/" in row.split("|")[3], row
