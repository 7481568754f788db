"""The default sentence encoder, exported once for all tests of texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

NEEDED = ("torch", "transformers", "onnxscript", "tokenizers")


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes; it takes some 20 seconds."""
    for needed in NEEDED:
        pytest.importorskip(needed, reason=f"{needed} is missing: pip install stream-app[train]")
    import torch

    from stream_app.cli.text_encoder import command

    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("text") / "encoder"
    result = CliRunner().invoke(
        command, ["export", "--out", str(out), "--json"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["meta"]["licence"] == "Apache-2.0"
    return out
