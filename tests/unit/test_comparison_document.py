"""docs/comparison.md names a test for every feature that it claims; each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!\|)(.+) \|$", TEXT.partition("## Figures")[0], re.M)[1:]


def test_every_claim_has_a_test_that_is_there() -> None:
    claims = [row for row in ROWS if re.search(r"\*\*[YP]\*\*", row)]
    assert len(claims) > 20
    for row in claims:
        (target,) = re.findall(r"\]\(\.\./(tests/[^)]+)\)", row)
        assert (ROOT / target).exists(), row


def test_what_is_not_claimed_names_no_test() -> None:
    for row in ROWS:
        if not re.search(r"\*\*[YP]\*\*", row) and "---" not in row:
            assert "](../tests" not in row, row
