"""No library that we bring in tells its maker what we do with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import stream_app


@pytest.mark.parametrize(
    "module", ["stream_app.encoders.onnx", "stream_app.text.encoder", "agents.command"]
)
def test_onnx_runtime_is_told_before_it_starts(module: str, tmp_path: Path) -> None:
    """What it would leave behind: an id of the machine and a store of what is to be sent."""
    quiet = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    script = f"import os, {module}, onnxruntime; print(os.environ.get('ORT_DISABLE_TELEMETRY'))"
    result = subprocess.run(
        [sys.executable, "-B", "-c", script],
        env=environment | {"HOME": str(tmp_path)},
        cwd=Path(stream_app.__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert result.stdout.strip() == "1", result.stderr
    assert list(tmp_path.rglob("*")) == []
