"""Encoders in training take part in an evaluation as any other method."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from stream_app.evaluation.histories import Histories
from stream_app.evaluation.progress import PlainProgress
from stream_app.evaluation.protocols import leave_one_out, replay_split, time_split
from stream_app.evaluation.registry import make_baseline
from stream_app.evaluation.run import Contest, run
from stream_app.training.config import ModelConfig, TrainingConfig, TrainingError
from stream_app.training.evaluated import (
    TrainedEncoder,
    shared_pieces,
    trained_recommender,
    with_kind,
)

from .markov import markov_table

SMALL = TrainingConfig(
    model=ModelConfig(dim=16, width=16, blocks=1),
    epochs=6,
    learning_rate=0.02,
    window=20,
    batch_tokens=512,
    min_count=1,
)


@pytest.mark.parametrize("kind", ["recurrent", "gru", "transformer", "auto"])
def test_every_kind_of_encoder_learns_what_popularity_cannot(kind: str) -> None:
    split = leave_one_out(markov_table(users=60), repeats=True)
    trained = TrainedEncoder(kind, with_kind(SMALL, kind), PlainProgress())
    popular = make_baseline("popular", split.protocol, k=10, seed=0, threads=1)
    result = run(Contest(split, [trained, popular]), PlainProgress())
    assert (result.value(kind, "ndcg@10") or 0) > 2 * (result.value("popular", "ndcg@10") or 1)


def test_kinds_cannot_be_compared_without_validation_questions() -> None:
    split = time_split(markov_table(users=14), repeats=True, validation_share=0)
    trained = TrainedEncoder("best", with_kind(SMALL, "auto"), PlainProgress())
    with pytest.raises(TrainingError, match="best: kind 'auto' is chosen on validation questions"):
        trained.fit(split)


def test_a_score_does_not_depend_on_who_else_is_asked() -> None:
    split = time_split(markov_table(users=40), repeats=True)
    method = TrainedEncoder("recurrent", SMALL, PlainProgress())
    method.fit(split)
    together = method.scores(split.test.histories)
    for at in (0, 7, len(split.test) - 1):
        alone = method.scores(split.test.histories.part(np.array([at])))
        assert alone[0] == pytest.approx(together[at], abs=1e-5)


def test_pieces_hold_the_window_of_every_history_they_serve() -> None:
    split = time_split(markov_table(users=10, length=40), repeats=True)
    histories: Histories = split.test.histories
    pieces = shared_pieces(histories, window=8, step=4)
    ends = histories.lengths[pieces.longest]
    begins = (ends - pieces.sizes)[pieces.owners]
    assert np.array_equal(histories.users[pieces.longest][pieces.owners], histories.users)
    assert np.array_equal(begins + pieces.at + 1, histories.lengths)
    seen = histories.lengths - begins
    assert np.all((seen >= np.minimum(histories.lengths, 8)) & (seen < 8 + 4))
    assert len(pieces.sizes) < len(histories)


def test_a_recommender_is_trained_on_the_past_and_replayed() -> None:
    split = replay_split(markov_table(users=14), repeats=True, test_share=0.2)
    method = trained_recommender("recommender", SMALL, 10)
    result = run(Contest(split, [method]), PlainProgress())
    assert (result.value("recommender", "hr@10") or 0) > 0.3
