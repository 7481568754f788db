"""Encoders in training as methods of an evaluation: any kind, by its configuration."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from stream_app.bundle import load_bundle
from stream_app.evaluation.bundled import replayed_bundle
from stream_app.evaluation.histories import NOTHING, Histories
from stream_app.evaluation.lists import top_lists
from stream_app.evaluation.metrics import accuracy, places_of
from stream_app.evaluation.progress import Progress
from stream_app.evaluation.protocols import Split
from stream_app.evaluation.replay import Lists
from stream_app.evaluation.run import LiveMethod
from stream_app.training.choice import AUTO, fit_best_kind
from stream_app.training.config import TrainingConfig, TrainingError
from stream_app.training.fit import Epoch, fit
from stream_app.training.job import Job
from stream_app.training.job import run as run_job
from stream_app.training.learner import Learner
from stream_app.training.models.base import WindowEncoder
from stream_app.training.release import Label
from stream_app.training.report import epoch_text, make_report
from stream_app.training.sequences import NO_ROW, Batch
from stream_app.users.features import NO_PREVIOUS, sequence_features

VALIDATED = 5_000  # questions, drawn from those of the validation: an epoch is long enough
K = 10
SHARED = 4  # windows begin at multiples of a quarter of their length, to be shared by many
TOKENS = 16_384  # events encoded at a time: the activations stay below 100 MB


class TrainedEncoder:
    """An encoder trained on the split, stopped by NDCG@10 on its validation questions.

    Where the protocol says so, it is trained again on all of the past for as many epochs.
    """

    def __init__(self, name: str, config: TrainingConfig, progress: Progress) -> None:
        self.name = name
        self._config = config
        self._progress = progress

    def fit(self, split: Split) -> None:
        """Train; raises `TrainingError`."""
        asked = split.validation.sample(VALIDATED, seed=0)

        def validate(learner: Learner) -> tuple[float, float]:
            self._use(learner)
            lists = top_lists(self, asked.histories, K, repeats=split.repeats)
            figures = accuracy(places_of(lists, asked), asked.offsets, K)
            return float(figures["hr"].mean()), float(figures["ndcg"].mean())

        if not len(asked):
            if self._config.model.kind == AUTO:
                raise TrainingError(
                    f"{self.name}: kind {AUTO!r} is chosen on validation questions, and there are "
                    "none; name the kind, or give a larger --validation-share"
                )
            self._use(fit(split.train, self._config, on_epoch=self._on_epoch)[0])
            return
        learner, best = fit_best_kind(
            split.train,
            self._config,
            validate=validate,
            on_epoch=self._on_epoch,
            on_resume=lambda *_: None,  # nothing is resumed without a checkpoint
            on_kind=lambda kind, done: self._progress.note(f"{self.name} {kind}: {done.ndcg:.4f}"),
        )
        if split.refit:
            config = learner.config  # of the kind that was chosen
            learner, _ = fit(split.past, config, stop_after=best.number, on_epoch=self._on_epoch)
        self._use(learner)

    def _on_epoch(self, done: Epoch) -> None:
        self._progress.note(f"{self.name} {epoch_text(done)}")

    def _use(self, learner: Learner) -> None:
        self._learner = learner
        with torch.no_grad():
            self._vectors = learner.items()
        windowed = isinstance(learner.encoder, WindowEncoder)
        self._window = learner.encoder.window if windowed else self._config.window
        # In service a window is never longer than it says; a state may reach further back.
        self._step = 1 if windowed else max(1, self._window // SHARED)

    @torch.no_grad()
    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """As `Method.scores`; items without a vector are never recommended."""
        rows = self._learner.vocabulary.rows
        scores = np.full((len(histories), len(rows)), -np.inf, np.float32)
        known = np.flatnonzero(rows != NO_ROW)
        vectors = self._vectors[torch.from_numpy(rows[known])]
        scores[:, known] = (self._users(histories) @ vectors.t()).numpy()
        return scores

    def _users(self, histories: Histories) -> torch.Tensor:
        """User vectors `[B, d]` after the last event of each history."""
        pieces = shared_pieces(histories, self._window, self._step)
        vectors = torch.empty((len(histories), self._config.model.dim))
        order = np.argsort(pieces.sizes, kind="stable")
        step = max(1, TOKENS // int(pieces.sizes.max(initial=1)))
        for start in range(0, len(order), step):
            chosen = order[start : start + step]
            users = self._learner.users(
                self._batch(histories.part(pieces.longest[chosen]), pieces.sizes[chosen]),
                self._vectors,
            )
            place = np.full(len(order), NOTHING)
            place[chosen] = np.arange(len(chosen))
            asked = np.flatnonzero(place[pieces.owners] != NOTHING)
            row, column = place[pieces.owners[asked]], pieces.at[asked]
            vectors[torch.from_numpy(asked)] = users[
                torch.from_numpy(row), torch.from_numpy(column)
            ]
        return vectors

    def _batch(self, histories: Histories, sizes: NDArray[np.int64]) -> Batch:
        """The newest `sizes` `[B]` events, with the gap to the event before the oldest one."""
        table = histories.log.table
        events = histories.window(sizes + 1)
        gaps = np.full(events.shape, NO_PREVIOUS, np.int64)
        gaps[:, 1:] = np.maximum(np.diff(table.timestamps_ms[events], axis=1), 0)
        first = (histories.lengths > sizes).astype(np.int64)
        columns = first[:, None] + np.arange(int(sizes.max()))
        inside = columns < np.minimum(histories.lengths, sizes + 1)[:, None]
        columns = np.where(inside, columns, 0)
        events = np.take_along_axis(events, columns, axis=1)
        gaps = np.take_along_axis(gaps, columns, axis=1)
        rows = np.where(inside, self._learner.vocabulary.rows[table.items[events]], NO_ROW)
        features = sequence_features(table.actions[events].ravel(), gaps.ravel())
        shaped = features.reshape(*events.shape, -1) * inside[..., None]
        nothing = np.full_like(rows, NO_ROW)
        return Batch(rows, shaped.astype(np.float32), nothing, np.zeros(rows.shape, np.uint8))


class Pieces(NamedTuple):
    """Pieces of users' events that are encoded once for several histories of the same user."""

    longest: NDArray[np.int64]
    """`[P]` the history at whose end each piece ends."""
    sizes: NDArray[np.int64]
    """`[P]` events of each piece."""
    owners: NDArray[np.int64]
    """`[B]` the piece of each history."""
    at: NDArray[np.int64]
    """`[B]` the event of the piece after which each history ends."""


def shared_pieces(histories: Histories, window: int, step: int) -> Pieces:
    """Cover histories, none of them empty, with few pieces.

    A piece begins at a multiple of `step`: the last before the newest `window` events of a
    history. So a history is encoded the same way whoever else is asked about.
    """
    begins = np.maximum(histories.lengths - window, 0) // step * step
    order = np.lexsort((histories.lengths, begins, histories.users))
    users, starts = histories.users[order], begins[order]
    new = np.ones(len(order), bool)
    new[1:] = (users[1:] != users[:-1]) | (starts[1:] != starts[:-1])
    owners = np.empty(len(order), np.int64)
    owners[order] = np.cumsum(new) - 1
    longest = order[np.flatnonzero(np.append(new[1:], True))]
    sizes = histories.lengths[longest] - begins[longest]
    return Pieces(longest, sizes, owners, histories.lengths - 1 - begins)


def trained_recommender(name: str, config: TrainingConfig, k: int) -> LiveMethod:
    """The whole recommender, from a bundle that `stream-app train` would make of the past."""

    def make(split: Split) -> Lists:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "bundle"
            run_job(Job(split.past, path, Label(name, "1"), config), make_report())
            return replayed_bundle(name, load_bundle(path), k).make(split)

    return LiveMethod(name, make)


def with_kind(config: TrainingConfig, kind: str) -> TrainingConfig:
    """The same settings for another kind of encoder."""
    return replace(config, model=replace(config.model, kind=kind))
