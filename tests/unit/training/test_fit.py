"""Training: it learns, stops when it should, and goes on where it was stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from stream_app.datasets import EventTable  # noqa: E402
from stream_app.evaluation import BaselineLists, Popularity, replay  # noqa: E402
from stream_app.training.config import ModelConfig, TrainingConfig, TrainingError  # noqa: E402
from stream_app.training.fit import Epoch, fit  # noqa: E402
from stream_app.training.learner import Learner  # noqa: E402
from stream_app.training.sequences import (  # noqa: E402
    NO_ROW,
    Vocabulary,
    epoch,
    user_sequences,
)
from stream_app.training.validation import validator  # noqa: E402

from .markov import markov_table  # noqa: E402

CONFIG = TrainingConfig(
    model=ModelConfig(dim=16, width=16, blocks=1, dropout=0.1),
    epochs=12,
    learning_rate=1e-2,
    batch_tokens=256,
    min_count=1,
)


def test_a_tiny_run_beats_popularity_on_a_markov_stream(table: EventTable) -> None:
    past, stream = table.split(0.8)
    validate = validator(table, int(stream.timestamps_ms[0]), window=50)
    _, best = fit(past, CONFIG, validate=validate)
    popular = replay(stream, {"p": BaselineLists(Popularity(), past)}, set())["p"].all
    assert best.ndcg > 1.5 * popular.ndcg
    assert best.hit_rate > popular.hit_rate


def test_the_best_epoch_is_returned_and_training_stops_after_it(table: EventTable) -> None:
    figures = iter([0.1, 0.3, 0.2, 0.25, 0.29])
    kept: list[np.ndarray] = []

    def validate(learner: Learner) -> tuple[float, float]:
        kept.append(learner.vectors())
        return 0.0, next(figures)

    epochs: list[Epoch] = []
    learner, best = fit(
        table, replace(CONFIG, patience=3), validate=validate, on_epoch=epochs.append
    )
    assert [one.number for one in epochs] == [1, 2, 3, 4, 5]
    assert best.number == 2
    np.testing.assert_array_equal(learner.vectors(), kept[1])


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(table: EventTable, tmp_path: Path) -> None:
    whole, _ = fit(table, CONFIG, stop_after=4)
    checkpoint = tmp_path / "run.pt"
    fit(table, CONFIG, stop_after=2, checkpoint=checkpoint)
    epochs: list[int] = []
    told: list[tuple[int, Path]] = []
    resumed, _ = fit(
        table,
        CONFIG,
        stop_after=4,
        checkpoint=checkpoint,
        on_epoch=lambda done: epochs.append(done.number),
        on_resume=lambda *what: told.append(what),
    )
    assert (told, epochs) == ([(2, checkpoint)], [3, 4])
    np.testing.assert_array_equal(resumed.vectors(), whole.vectors())


def test_a_checkpoint_of_another_run_is_refused(table: EventTable, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    fit(table, CONFIG, stop_after=1, checkpoint=checkpoint)
    with pytest.raises(TrainingError, match=r"another run \(seed differ\); delete it"):
        fit(table, replace(CONFIG, seed=9), checkpoint=checkpoint)
    with pytest.raises(TrainingError, match=r"another run \(events, last event differ\)"):
        fit(table.part(0, len(table) - 1), CONFIG, checkpoint=checkpoint)
    checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="not a checkpoint of stream-app train"):
        fit(table, CONFIG, checkpoint=checkpoint)


def test_too_little_data_is_refused(table: EventTable) -> None:
    with pytest.raises(TrainingError, match="give more data, or a lower --min-count"):
        fit(table, replace(CONFIG, min_count=10_000))


@pytest.mark.parametrize("window", [7, 29, 200])
def test_an_epoch_holds_every_pair_of_events_once(table: EventTable, window: int) -> None:
    vocabulary = Vocabulary.of(table, 1)
    sequences = user_sequences(table)
    batches = [
        *epoch(sequences, vocabulary, np.random.default_rng(0), window=window, batch_tokens=100)
    ]
    found = sorted(
        pair
        for batch in batches
        for pair in zip(
            batch.rows[batch.targets != NO_ROW],
            batch.targets[batch.targets != NO_ROW],
            strict=True,
        )
    )
    expected = sorted(
        pair
        for one in sequences
        for pair in zip(
            vocabulary.rows[one.items(0, -1)], vocabulary.rows[one.items(1)], strict=True
        )
    )
    assert found == expected
    assert all(batch.rows.size <= 100 or len(batch.rows) == 1 for batch in batches)


def test_rare_items_have_no_row() -> None:
    table = markov_table(users=4, length=6)
    counts = np.bincount(table.items, minlength=len(table.item_ids))
    vocabulary = Vocabulary.of(table, 2)
    assert vocabulary.size == (counts >= 2).sum()
    assert (vocabulary.rows[counts < 2] == NO_ROW).all()
    assert sorted(vocabulary.items) == sorted(np.flatnonzero(counts))


def test_features_of_a_part_are_those_of_the_whole(table: EventTable) -> None:
    sequence = user_sequences(table)[3]
    whole = sequence.features()
    for begin, stop in ((0, 5), (1, 5), (4, len(sequence)), (2, 2)):
        np.testing.assert_array_equal(sequence.features(begin, stop), whole[begin:stop])
        np.testing.assert_array_equal(sequence.items(begin, stop), sequence.items()[begin:stop])


def test_sequences_cost_four_bytes_an_event() -> None:
    table = markov_table(users=50, length=40)
    sequences = user_sequences(table, shortest=2)
    assert sequences.order.nbytes == 4 * len(table)
    assert len(sequences) == 50
    assert not len(user_sequences(table, shortest=41))
