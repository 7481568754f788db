"""Event tables as padded batches of user sequences, for training and for validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.datasets import EventTable
from stream_app.users.features import FEATURES, event_gaps, sequence_features

LAG_DECAY = 0.7  # how much less often a target lies one event further ahead
NO_ROW = -1  # an item without a vector: its input is zeros, and it is never a target


@dataclass(frozen=True)
class Vocabulary:
    """Which items have a vector, and in which row of the item table."""

    rows: NDArray[np.int64]
    """`[items of the table]` row, or `NO_ROW` for an item seen too seldom."""
    items: NDArray[np.int64]
    """`[all items seen]` item numbers, the ones with a row first, most frequent first."""
    size: int
    """Number of rows."""

    @classmethod
    def of(cls, table: EventTable, min_count: int) -> Vocabulary:
        """Number the items of `table`; those seen fewer than `min_count` times get no row."""
        counts = np.bincount(table.items, minlength=len(table.item_ids))
        order = np.argsort(-counts, kind="stable")
        items = order[: int((counts > 0).sum())]
        size = int((counts >= max(min_count, 1)).sum())
        rows = np.full(len(counts), NO_ROW, np.int64)
        rows[items[:size]] = np.arange(size)
        return cls(rows, items, size)


class Sequence(NamedTuple):
    """All events of one user in time order."""

    user: int
    items: NDArray[np.int32]
    features: NDArray[np.float32]
    timestamps_ms: NDArray[np.int64]


class Batch(NamedTuple):
    """Inputs and targets of several sequences, padded on the right with `NO_ROW`."""

    rows: NDArray[np.int64]
    """`[B, T]` rows of the input items."""
    features: NDArray[np.float32]
    """`[B, T, f]`."""
    targets: NDArray[np.int64]
    """`[B, T]` row of the next item; `NO_ROW` where there is none or it has no vector."""


def user_sequences(table: EventTable) -> list[Sequence]:
    """Group a table by user; every user's features are those that serving would compute."""
    order = np.argsort(table.users, kind="stable")
    users = table.users[order]
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    sequences = []
    for start, stop in zip(starts, [*starts[1:], len(users)], strict=True):
        at = order[start:stop]
        times = table.timestamps_ms[at]
        features = sequence_features(table.actions[at], event_gaps(times))
        sequences.append(Sequence(int(users[start]), table.items[at], features, times))
    return sequences


def epoch(
    sequences: list[Sequence],
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    *,
    window: int,
    batch_tokens: int,
    reach: int = 1,
) -> Iterator[Batch]:
    """Yield every event once as input, in shuffled batches of pieces of about equal length.

    With `reach` above 1 the target of a position is one of the next `reach` events, drawn anew
    every epoch, nearer ones more often.

    Long histories are cut into pieces of `window` events at a place that changes every epoch, so
    that no event is always the first of its piece.
    """
    pieces = []
    for sequence in sequences:
        length = len(sequence.items)
        first = int(rng.integers(1, window + 1)) if length > window + 1 else window
        for start in range(first - window, length - 1, window):
            begin, stop = max(start, 0), min(start + window + 1, length)
            if stop - begin > 1:
                pieces.append((sequence, begin, stop))
    lengths = np.array([stop - begin for _, begin, stop in pieces])
    order = np.argsort(lengths + rng.uniform(0, 8, len(pieces)), kind="stable")
    batches: list[list[int]] = [[]]
    longest = 0
    for at in order.tolist():
        longest = max(longest, int(lengths[at]) - 1)
        if batches[-1] and (len(batches[-1]) + 1) * longest > batch_tokens:
            batches.append([])
            longest = int(lengths[at]) - 1
        batches[-1].append(at)
    for number in rng.permutation(len(batches)).tolist():
        if batches[number]:
            batch = [pieces[at] for at in batches[number]]
            yield pad(batch, vocabulary, lambda count: _lags(count, reach, rng))


def _lags(count: int, reach: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How many events ahead the target of each of `count` positions lies, 1..reach."""
    chances = LAG_DECAY ** np.arange(reach)
    return 1 + rng.choice(reach, size=count, p=chances / chances.sum())


def pad(
    pieces: list[tuple[Sequence, int, int]],
    vocabulary: Vocabulary,
    lags: Callable[[int], NDArray[np.int64]] | None = None,
) -> Batch:
    """Lay pieces `(sequence, begin, stop)` side by side; inputs are all but the last event."""
    longest = max(stop - begin for _, begin, stop in pieces) - 1
    rows = np.full((len(pieces), longest), NO_ROW, np.int64)
    targets = np.full((len(pieces), longest), NO_ROW, np.int64)
    features = np.zeros((len(pieces), longest, FEATURES), np.float32)
    for at, (sequence, begin, stop) in enumerate(pieces):
        known = vocabulary.rows[sequence.items[begin:]]
        length = stop - begin - 1
        ahead = np.arange(1, length + 1)
        if lags is not None:
            further = ahead - 1 + lags(length)
            ahead = np.where(further < len(known), further, ahead)
        rows[at, :length], targets[at, :length] = known[:length], known[ahead]
        features[at, :length] = sequence.features[begin : stop - 1]
    return Batch(rows, features, targets)
