"""A short training on real events beats what only counts, on events later than all it has seen."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from stream_app.datasets import open_dataset
from stream_app.evaluation.progress import PlainProgress
from stream_app.evaluation.protocols import sample_users, time_split
from stream_app.evaluation.registry import make_baseline
from stream_app.evaluation.run import Contest, run
from stream_app.training.config import ModelConfig, TrainingConfig
from stream_app.training.evaluated import TrainedEncoder

MOVIELENS = Path(__file__).parents[3] / "examples" / "movielens" / "ml-latest-small"
SHORT = TrainingConfig(
    model=ModelConfig(dim=48, width=64), epochs=7, learning_rate=4e-3, temperature=0.1
)


RIVALS = ("decayed-popular", "transitions")


def test_an_encoder_beats_decayed_popularity_and_transition_counts() -> None:
    split = sample_users(time_split(open_dataset(MOVIELENS), validation_share=0.0), 60, seed=0)
    rivals = [make_baseline(name, split.protocol, k=10, seed=0, threads=1) for name in RIVALS]
    encoder = TrainedEncoder("recurrent", SHORT, PlainProgress())
    result = run(Contest(split, [encoder, *rivals]), PlainProgress())
    found = {name: result.value(name, "ndcg@10") or 0.0 for name in ("recurrent", *RIVALS)}
    assert found["recurrent"] > 1.1 * max(found[name] for name in RIVALS), found
