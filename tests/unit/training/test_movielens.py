"""A short training on real events beats what only counts, on events later than all it has seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from stream_app.datasets import open_dataset
from stream_app.evaluation.lists import top_lists
from stream_app.evaluation.methods import Method
from stream_app.evaluation.metrics import accuracy, places_of
from stream_app.evaluation.progress import PlainProgress
from stream_app.evaluation.protocols import Cases, Split, sample_users, time_split
from stream_app.evaluation.registry import make_baseline
from stream_app.evaluation.run import LiveMethod
from stream_app.training.config import ModelConfig, TrainingConfig
from stream_app.training.evaluated import TrainedEncoder

K = 10
MOVIELENS = Path(__file__).parents[3] / "examples" / "movielens" / "ml-latest-small"
SHORT = TrainingConfig(
    model=ModelConfig(dim=48, width=64), epochs=7, learning_rate=4e-3, temperature=0.1
)


RIVALS = ("decayed-popular", "transitions")


def test_an_encoder_beats_decayed_popularity_and_transition_counts() -> None:
    split = sample_users(time_split(open_dataset(MOVIELENS), validation_share=0.05), 40, seed=0)
    encoder = TrainedEncoder("recurrent", SHORT, PlainProgress())
    encoder.fit(without_validation(split))
    found = {"recurrent": ndcg(encoder, split.test)}
    for name in RIVALS:
        rival = make_baseline(name, split.protocol, k=K, seed=0, threads=1)
        assert not isinstance(rival, LiveMethod)
        rival.fit(split)
        found[name] = ndcg(rival, split.test)
    assert found["recurrent"] > 1.1 * max(found[name] for name in RIVALS), found


def without_validation(split: Split) -> Split:
    """All of the past to train on, for as many epochs as were asked for."""
    nothing = split.validation.part(np.zeros(0, np.int64))
    return replace(split, train=split.past, validation=nothing)


def ndcg(method: Method, cases: Cases) -> float:
    lists = top_lists(method, cases.histories, K, repeats=False)
    return float(accuracy(places_of(lists, cases), cases.offsets, K)["ndcg"].mean())
