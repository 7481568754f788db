"""`stream-app train --texts`: from two files and an encoder to a release that reads text."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from small_text import write_text_encoder

from schemas import Click
from stream_app.bundle import load_bundle
from stream_app.errors import UserError
from stream_app.recommender import Recommender
from stream_app.text import TextEncoder

from .test_train_command import HURRY, SIZES, train, write_events


def write_texts(path: Path, items: int = 70) -> Path:
    lines = [f"i{number},thing {number * 7 % 60} 物 {number}" for number in range(items)]
    path.write_text("\n".join(["item_id,text", *lines]) + "\n", encoding="utf-8")
    return path


def test_a_release_with_texts_knows_items_that_no_event_is_on(tmp_path: Path) -> None:
    """And its ranker what they say, what they cost, and how long they are known."""
    events = write_events(tmp_path / "events.csv", users=40)
    items = tmp_path / "items.jsonl"
    items.write_text("".join(f'{{"item_id": "i{n}", "price": {1 + n}}}\n' for n in range(50)))
    texts = write_texts(tmp_path / "items.csv")
    directory = write_text_encoder(tmp_path / "encoder")
    result = train(
        "--events", events, "--texts", texts, "--text-encoder", directory, "--unseen-items",
        "--out", tmp_path / "bundle", "--version", "1", "--ranker", "moe", "--items", items,
        *SIZES, *HURRY,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "moe ranker from" in result.output
    assert "60 of 60 items have a text" in result.output
    bundle = load_bundle(tmp_path / "bundle")
    assert len(bundle.catalog) == 70
    np.testing.assert_allclose(np.linalg.norm(bundle.catalog.vectors, axis=1), 1, atol=1e-2)
    assert bundle.text is not None
    new = bundle.text.embed(["thing 9 物 69"], TextEncoder.load(directory))[0]
    stored = bundle.catalog.vectors[bundle.catalog.index_of("i69")]
    assert new @ stored == pytest.approx(1, abs=0.2)
    assert bundle.manifest.ranker is not None
    assert {"affinity", "text similarity", "freshness", "price"} <= {
        *bundle.manifest.ranker.features
    }
    assert {"ranker", "ranker.weighted_sum"} <= set(bundle.manifest.metrics)
    click = Click(user_id="me", item_id="i1", timestamp_ms=10**9)
    assert len(Recommender(bundle).recommend([click])[0].items) == 10


@pytest.mark.parametrize("given", ["--texts", "--text-encoder"])
def test_texts_and_their_encoder_go_together(tmp_path: Path, given: str) -> None:
    events = write_events(tmp_path / "events.csv", users=10)
    result = train("--events", events, given, tmp_path, "--out", tmp_path / "bundle")
    assert result.exit_code == 2
    assert "--texts and --text-encoder go together" in result.output


def test_texts_of_other_items_are_refused(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.csv", users=10)
    (tmp_path / "items.csv").write_text("item_id,text\nother,x\n")
    with pytest.raises(UserError, match="none of the 1 texts is of an item of the events"):
        train(
            "--events", events, "--texts", tmp_path / "items.csv",
            "--text-encoder", write_text_encoder(tmp_path / "encoder"),
            "--out", tmp_path / "bundle",
        )  # fmt: skip


def test_a_damaged_encoder_is_refused(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.csv", users=10)
    directory = write_text_encoder(tmp_path / "encoder")
    (directory / "text.onnx").write_bytes(b"changed")
    with pytest.raises(UserError, match=r"text.onnx sha256 differs from meta.json"):
        train(
            "--events", events, "--texts", write_texts(tmp_path / "items.csv"),
            "--text-encoder", directory, "--out", tmp_path / "bundle",
        )  # fmt: skip
