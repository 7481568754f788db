"""The control: the checks find what stock Faust loses, so that "nothing found" means something."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.broker import EmbeddedKafka
from tests.faults import report, scenarios
from tests.faults.run import Plan, run
from tests.faults.verify import counts


@pytest.mark.timeout(900)
def test_the_checks_find_the_loss_of_stock_faust(tmp_path: Path) -> None:
    plan = scenarios.stock_widened(Plan(cycles=2, seed=21, rate=100))
    with EmbeddedKafka() as kafka:
        result = run(plan, tmp_path, kafka)
    text = report.markdown(result, "pytest tests/faults/test_control.py")
    assert result.verify is not None
    # Events before the commits: a backlog that was left at the end does not count.
    assert counts(result.verify)["lost"] > 0, text
