"""Runs `stream-app verify`, the product's own checker, on what a run has left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from stream_app.settings import Settings

TIMEOUT_S = 1200
FINDINGS = (
    "lost", "duplicated", "misordered", "uncovered", "stale_outputs", "wrong_partitions",
    "beyond_commits",
)  # fmt: skip


def verify(settings: Settings) -> dict[str, Any] | None:
    """The checker's report. Raises AssertionError when it gives none."""
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", "verify", "--json", "--settled"],
        env={**os.environ, **settings.environment()},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if "No such command" in done.stderr:
        return None
    assert done.returncode in (0, 1), f"verify ended with {done.returncode}:\n{done.stderr}"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def counts(report: dict[str, Any]) -> dict[str, int]:
    """The number of findings of every kind."""
    return {name: int(report[name]["count"]) for name in FINDINGS}
