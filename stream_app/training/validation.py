"""The validation figure of a model alone: rank of every event of a later period, given its past."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_app.datasets import EventTable
from stream_app.training.fit import Validate
from stream_app.training.learner import Learner
from stream_app.training.sequences import Sequence, pad, user_sequences

K = 10
EVENTS = 20_000  # of more events, those of a sample of users are ranked: an epoch is long enough
LOGITS = 256  # positions ranked at a time
TOKENS = 4096  # events encoded at a time

Floats = NDArray[np.float64]
_Piece = tuple[Sequence, int, int, int]


def validator(table: EventTable, since_ms: int, *, window: int, repeats: bool = False) -> Validate:
    """Return a function giving hit rate@10 and NDCG@10 of the events at or after `since_ms`.

    Items the user already had are not ranked unless `repeats`; an item without a vector is a miss.
    Only users' last `window` events before the period are encoded.
    """
    sequences = user_sequences(table)
    recent = table.users[np.searchsorted(table.timestamps_ms, since_ms) :]
    counts = np.bincount(recent, minlength=len(table.user_ids))[sequences.users]
    chosen = np.flatnonzero((counts > 0) & (sequences.lengths > 1))
    firsts = np.maximum(sequences.lengths - counts, 1)
    order = chosen[np.random.default_rng(0).permutation(len(chosen))]
    ranked = np.cumsum((sequences.lengths - firsts)[order])
    order = order[: int(np.searchsorted(ranked, EVENTS)) + 1]
    tasks = [(sequences[at], int(firsts[at])) for at in order.tolist()]

    def measure(learner: Learner) -> tuple[float, float]:
        pieces = [
            (sequence, *piece)
            for sequence, first in tasks
            for piece in _pieces(first, len(sequence), window, learner.encoder.window)
        ]
        ranks = np.concatenate([*_all_ranks(learner, pieces, repeats)] or [np.zeros(0)])
        hits = ranks < K
        gains = np.where(hits, 1 / np.log2(ranks + 2), 0)
        return (float(hits.mean()), float(gains.mean())) if len(ranks) else (0.0, 0.0)

    return measure


def _pieces(first: int, length: int, window: int, context: int) -> Iterator[tuple[int, int, int]]:
    """Pieces `begin`, `first`, `stop`: events `first`..`stop` are ranked, read from `begin` on.

    An encoder that serves with no more than `context` events is not given more here, and never
    less than half of them.
    """
    stride = max(1, context // 2) if context else max(1, length - first)
    for start in range(first, length, stride):
        stop = min(start + stride, length)
        yield max(0, stop - 1 - context if context else first - window), start, stop


@torch.no_grad()
def _all_ranks(learner: Learner, pieces: list[_Piece], repeats: bool) -> Iterator[Floats]:
    """Ranks of the events of every piece; pieces of about equal length are encoded together."""
    vectors = learner.items()
    pieces.sort(key=lambda piece: piece[1] - piece[3])  # longest first
    start = 0
    while start < len(pieces):
        longest = pieces[start][3] - pieces[start][1]
        group = pieces[start : start + max(1, TOKENS // longest)]
        start += len(group)
        batch = pad([(one, begin, stop) for one, begin, _, stop in group], learner.vocabulary)
        users = learner.users(batch, vectors)
        for at, (sequence, begin, first, stop) in enumerate(group):
            part = slice(first - 1 - begin, stop - 1 - begin)
            had = None if repeats else learner.vocabulary.rows[sequence.items(0, stop)]
            yield _ranks(users[at, part], vectors, batch.targets[at, part], had, first)


def _ranks(
    users: Tensor,
    vectors: Tensor,
    targets: NDArray[np.int64],
    had: NDArray[np.int64] | None,
    first: int,
) -> Floats:
    """Ranks of `targets` `[n]` for `users` `[n, d]`, from 0, infinite for a miss.

    The first target is event `first` of the history `had`, whose items are not ranked.
    """
    ranks = np.full(len(targets), np.inf)
    for start in range(0, len(targets), LOGITS):
        scores = (users[start : start + LOGITS] @ vectors.t()).numpy()
        for at in range(len(scores)):
            position = start + at
            if (row := targets[position]) < 0:
                continue
            wanted = scores[at, row]
            if had is not None:
                past = had[: first + position]
                if row in past:
                    continue
                scores[at, past[past >= 0]] = -np.inf
            ranks[position] = (scores[at] > wanted).sum()
    return ranks
