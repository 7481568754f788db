"""The training loop: epochs until the validation figure stops getting better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from stream_app.datasets import EventTable
from stream_app.text.projection import with_text
from stream_app.training.config import TrainingConfig, TrainingError
from stream_app.training.learner import Learner
from stream_app.training.sequences import Vocabulary, user_sequences


class Epoch(NamedTuple):
    """What one epoch came to; the figures are NaN where nothing validates."""

    number: int
    loss: float
    hit_rate: float
    ndcg: float
    kind: str
    """Of the encoder, as `ModelConfig.kind`."""


Validate = Callable[[Learner], tuple[float, float]]
OnEpoch = Callable[[Epoch], None]
OnResume = Callable[[int, Path], None]
"""Told the epochs already done, and the checkpoint that says so."""

NEVER = Epoch(0, float("inf"), -1.0, -1.0, "")


def fit(
    table: EventTable,
    config: TrainingConfig,
    *,
    texts: NDArray[np.float32] | None = None,
    validate: Validate | None = None,
    stop_after: int | None = None,
    on_epoch: OnEpoch = lambda _: None,
    checkpoint: Path | None = None,
    on_resume: OnResume = lambda *_: None,
) -> tuple[Learner, Epoch]:
    """Train on `table`, and return the model with the epoch that it is of.

    `texts` `[items of the table, t]` are vectors of what the items' texts say, zeros for an item
    without one; with them every item has a vector, and new ones can be given one.

    With `validate` (giving hit rate and NDCG@10), training stops `config.patience` epochs after
    the best NDCG, whose weights are returned. Without, it runs `stop_after` epochs, or all.
    `checkpoint` is written after every epoch; where it exists, training goes on from it, and
    `on_resume` is told. Raises `TrainingError` for a table without pairs
    of events, and for a checkpoint of another run.
    """
    described = None if texts is None else with_text(texts)
    learner = Learner(config, Vocabulary.of(table, config.min_count, described), texts)
    sequences = user_sequences(table, shortest=2)
    if not len(sequences) or learner.vocabulary.size < 2:
        raise TrainingError(
            f"{table.source}: {len(table)} events hold no user with two events on items seen at "
            f"least {config.min_count} times; give more data, or a lower --min-count"
        )
    best, best_weights, last = NEVER, None, NEVER
    if checkpoint is not None and checkpoint.exists():
        best, best_weights, last = _resume(checkpoint, learner, table)
        on_resume(learner.epoch, checkpoint)
    while learner.epoch < (stop_after or config.epochs):
        if validate is not None and last.number - best.number >= config.patience:
            break
        loss = learner.train_epoch(sequences)
        figures = validate(learner) if validate else (float("nan"), float("nan"))
        last = Epoch(learner.epoch, loss, *figures, kind=config.model.kind)
        if validate is not None and last.ndcg > best.ndcg:
            best, best_weights = last, learner.weights()
        if checkpoint is not None:
            _save(checkpoint, _identity(learner, table), learner, best, best_weights, last)
        on_epoch(last)
    if best_weights is None:
        return learner, last
    learner.set_weights(best_weights)
    return learner, best


def _identity(learner: Learner, table: EventTable) -> dict[str, Any]:
    """What a checkpoint must have in common with the run that goes on from it."""
    return {
        **asdict(learner.config),
        "items": learner.vocabulary.size,
        "texts": learner.items.text_digest(),
        "events": len(table),
        "last event": int(table.timestamps_ms[-1]),
    }


def _save(
    path: Path,
    run: dict[str, Any],
    learner: Learner,
    best: Epoch,
    best_weights: dict[str, Any] | None,
    last: Epoch,
) -> None:
    state = {
        "run": run,
        "progress": learner.progress(),
        "best": tuple(best),
        "best_weights": best_weights,
        "last": tuple(last),
    }
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    partial.replace(path)


def _resume(
    path: Path, learner: Learner, table: EventTable
) -> tuple[Epoch, dict[str, Any] | None, Epoch]:
    try:
        # Plain containers, numbers and tensors only: nothing in the file is executed.
        state = torch.load(path, weights_only=True)
        run = state["run"]
    except Exception as error:  # torch raises many kinds for a damaged file
        raise TrainingError(
            f"{path}: not a checkpoint of stream-app train ({error}); delete it to start anew"
        ) from error
    if run != (wanted := _identity(learner, table)):
        differing = sorted(key for key, value in wanted.items() if run.get(key) != value)
        raise TrainingError(
            f"{path}: checkpoint of another run ({', '.join(differing)} differ); delete it to "
            "start anew, or give the settings it was made with"
        )
    learner.set_progress(state["progress"])
    return Epoch(*state["best"]), state["best_weights"], Epoch(*state["last"])
