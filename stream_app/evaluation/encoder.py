"""The encoder alone, as it serves: user vectors against item vectors, without counts or trends.

Cheap enough to check that a shipped bundle still does what its manifest says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from stream_app.bundle import Bundle
from stream_app.datasets import EventTable
from stream_app.encoders import History, SteppedEncoder
from stream_app.users.features import event_gaps, sequence_features

K = 10
BLOCK = 512  # predictions ranked at a time: one full matrix product
BLOCK_EVENTS = 250_000  # encoded at a time: their user vectors are the memory that is needed

Floats = NDArray[np.float32]


class _History(NamedTuple):
    """All events of one user who has some in the period."""

    items: NDArray[np.int32]
    """Catalogue positions; -1 for an item not in the catalogue."""
    features: Floats
    first: int
    """Place of the first event of the period."""


def encoder_score(bundle: Bundle, table: EventTable, since: int) -> dict[str, float]:
    """Hit rate@10 and NDCG@10 of the events from position `since` of `table` on.

    As in a replay, an event counts when the same user has an earlier one at or after `since`.
    Every user's history runs from the start of the table. Items the user had before are not
    ranked, an item without a vector is a miss.
    """
    vectors = bundle.catalog.vectors
    without = ~vectors.any(axis=1)
    predictions, ranks = 0, []
    for history, after in _encoded(bundle, table, since):
        predictions += len(history.items) - 1 - history.first
        for start in range(history.first, len(history.items) - 1, BLOCK):
            stop = min(start + BLOCK, len(history.items) - 1)
            scores = after[start:stop] @ vectors.T
            scores[:, without] = -np.inf
            ranks.append(_ranks(scores, history.items, start))
    hits = np.concatenate(ranks or [np.zeros(0, np.int64)])
    hits = hits[hits < K]
    count = max(predictions, 1)
    return {
        "predictions": predictions,
        "hit_rate": len(hits) / count,
        "ndcg": float((1 / np.log2(hits + 2)).sum()) / count,
    }


def _ranks(scores: Floats, items: NDArray[np.int32], start: int) -> NDArray[np.int64]:
    """Rank of the item after each of the events from `start` on; very large for a miss."""
    ranks = np.full(len(scores), np.iinfo(np.int64).max)
    had = np.unique(items[: start + 1])
    scores[:, had[had >= 0]] = -np.inf
    for row, wanted in enumerate(items[start + 1 : start + 1 + len(scores)]):
        if wanted < 0:
            continue
        if (own := scores[row, wanted]) > -np.inf:
            ranks[row] = (scores[row] > own).sum()
        scores[row + 1 :, wanted] = -np.inf
    return ranks


def _encoded(bundle: Bundle, table: EventTable, since: int) -> Iterator[tuple[_History, Floats]]:
    """Users with an event in the period, with their vectors after every event, longest first."""
    places = np.array([bundle.catalog.index_of(item) for item in table.item_ids], np.int32)
    order = np.argsort(table.users, kind="stable")
    users, recent = np.unique(table.users[since:], return_counts=True)
    starts = np.searchsorted(table.users[order], users)
    lengths = np.bincount(table.users, minlength=len(table.user_ids))[users]
    longest_first = np.argsort(-lengths, kind="stable")
    blocks = np.cumsum(lengths[longest_first]) // BLOCK_EVENTS
    for block in np.split(longest_first, np.flatnonzero(np.diff(blocks)) + 1):
        histories = []
        for at in block.tolist():
            events = order[starts[at] : starts[at] + lengths[at]]
            gaps = event_gaps(table.timestamps_ms[events])
            features = sequence_features(table.actions[events], gaps)
            first = int(lengths[at] - recent[at])
            histories.append(_History(places[table.items[events]], features, first))
        yield from zip(histories, _user_vectors(bundle, histories), strict=True)


def _user_vectors(bundle: Bundle, histories: list[_History]) -> list[Floats]:
    """The user vectors after every event of every history."""
    if window := bundle.manifest.encoder.window:
        return [_reencoded(bundle, one, window) for one in histories]
    encoder = cast(SteppedEncoder, bundle.encoder)
    vectors = [np.empty((len(one.items), encoder.dim), np.float32) for one in histories]
    states = np.zeros((len(histories), encoder.state_size), np.float32)
    for position, active in _rounds([len(one.items) for one in histories]):
        items = np.array([one.items[position] for one in histories[:active]], np.int32)
        features = np.stack([one.features[position] for one in histories[:active]])
        states[:active], users = encoder.step(
            states[:active], bundle.catalog.vectors_of(items), features
        )
        for at in range(active):
            vectors[at][position] = users[at]
    return vectors


def _reencoded(bundle: Bundle, history: _History, window: int) -> Floats:
    """User vectors `[L, d]` of an encoder without a state; zeros before the period."""
    item_vectors = bundle.catalog.vectors_of(history.items)
    vectors = np.zeros((len(history.items), bundle.encoder.dim), np.float32)
    ends = range(history.first + 1, len(history.items) + 1)
    windows = [slice(max(0, end - window), end) for end in ends]
    parts = [History(item_vectors[part], history.features[part]) for part in windows]
    vectors[history.first :] = bundle.encoder.encode(parts)[1]
    return vectors


def _rounds(lengths: list[int]) -> Iterator[tuple[int, int]]:
    """Each position, and how many of the histories, longest first, reach it."""
    active = len(lengths)
    for position in range(max(lengths, default=0)):
        while lengths[active - 1] <= position:
            active -= 1
        yield position, active
