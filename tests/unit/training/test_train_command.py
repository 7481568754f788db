"""`stream-app train` from end to end on a small stream, and what it says when it cannot."""

import csv
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from schemas.messages import Click
from stream_app.bundle import load_bundle
from stream_app.cli.train import command
from stream_app.datasets import DatasetError
from stream_app.errors import UserError
from stream_app.recommender import Recommender

from .markov import markov_table

SIZES = ["--dim", "16", "--width", "16", "--blocks", "1", "--min-count", "1"]
HURRY = ["--epochs", "6", "--learning-rate", "0.01", "--threads", "1"]


def train(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)


def write_events(path: Path, **size: Any) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp_ms"])
        for event in markov_table(**size).messages():
            writer.writerow([event.user_id, event.item_id, event.timestamp_ms])
    return path


def test_events_become_a_measured_bundle(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")
    events = write_events(tmp_path / "events.csv", users=60)
    result = train(
        "--events", events, "--out", tmp_path / "bundle", "--name", "markov", "--version", "1",
        "--train-fraction", "0.8", *SIZES, *HURRY,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "transition counts" in result.output
    bundle = load_bundle(tmp_path / "bundle")
    manifest = bundle.manifest
    assert manifest.release == "markov@1"
    assert manifest.data.events == 1440
    metrics = {name: dict(value) for name, value in manifest.metrics.items() if "." in name}
    assert metrics["held_out.stream-app"]["ndcg"] > 2 * metrics["held_out.popularity"]["ndcg"]
    made = Recommender(bundle).recommend([Click(user_id="me", item_id="i1", timestamp_ms=10**9)])
    assert len(made[0].items) == 10


def test_an_existing_bundle_is_not_written_over(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")
    events = write_events(tmp_path / "events.csv", users=10)
    (tmp_path / "bundle").mkdir()
    with pytest.raises(UserError, match="exists; choose another --out, or pass --replace"):
        train("--events", events, "--out", tmp_path / "bundle")


def test_too_few_events_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")
    events = write_events(tmp_path / "events.csv", users=3)
    with pytest.raises(UserError, match="90 events to train on are too few"):
        train("--events", events, "--out", tmp_path / "bundle")


def test_without_torch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_app.cli.train.NEEDED", ("json", "torch_that_is_not_there"))
    events = write_events(tmp_path / "events.csv", users=3)
    with pytest.raises(UserError, match=r"pip install 'stream-app\[train\]'"):
        train("--events", events, "--out", tmp_path / "bundle")


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\na,b,1\na,b,never\n")
    with pytest.raises(DatasetError, match=r"events.csv:3: timestamp is 'never'"):
        train("--events", tmp_path / "events.csv", "--out", tmp_path / "bundle")


def test_one_kind_of_data_is_asked_for(tmp_path: Path) -> None:
    result = train("--out", tmp_path / "bundle")
    assert result.exit_code == 2
    assert "give either --movielens DIR or --events FILE" in result.output


def test_help_does_not_import_torch() -> None:
    assert "stream_app.training.job" not in sys.modules or "torch" in sys.modules
    assert "gated linear recurrence" in train("--help").output
