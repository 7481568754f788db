"""Runs `stream-app verify`, the product's own checker, on what a run has left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from stream_app.settings import Settings

TIMEOUT_S = 1200


def verify(settings: Settings, *, settled: bool) -> dict[str, Any]:
    """The checker's report; unless `settled`, only what lies before the commits is demanded.

    Raises AssertionError when it gives none.
    """
    options = ["--json", "--show-users", *(["--settled"] if settled else [])]
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", "verify", *options],
        env={**os.environ, **settings.environment()},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode in (0, 1), f"verify ended with {done.returncode}:\n{done.stderr}"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def counts(report: dict[str, Any]) -> dict[str, int]:
    """The number of findings of every kind."""
    return {
        name: int(found["count"])
        for name, found in report.items()
        if isinstance(found, dict) and "count" in found
    }


def examples(report: dict[str, Any]) -> list[str]:
    """Some findings of every kind, one a line."""
    return [
        f"verify: {name}: {json.dumps(example)}"
        for name, found in report.items()
        if isinstance(found, dict)
        for example in found.get("examples", ())
    ]
