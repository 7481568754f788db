"""Event tables as padded batches of user sequences, for training and for validation."""

from __future__ import annotations

from array import array
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
    counts: NDArray[np.int64]
    """`[all items seen]` events on each, in the order of `items`."""

    @classmethod
    def of(
        cls, table: EventTable, min_count: int, described: NDArray[np.bool_] | None = None
    ) -> Vocabulary:
        """Number the items of `table`; those seen fewer than `min_count` times get no row.

        Unless they are `described` `[items of the table]`: a text gives a vector to any item.
        """
        counts = np.bincount(table.items, minlength=len(table.item_ids))
        kept = counts >= max(min_count, 1)
        if described is not None:
            kept |= described & (counts > 0)
        items = np.lexsort((-counts, ~kept))[: int((counts > 0).sum())]
        size = int(kept.sum())
        rows = np.full(len(counts), NO_ROW, np.int64)
        rows[items[:size]] = np.arange(size)
        return cls(rows, items, size, counts[items])


@dataclass(frozen=True, slots=True)
class Sequence:
    """All events of one user in time order, as places in a table: nothing is copied before use."""

    table: EventTable
    places: NDArray[np.int32]
    """`[n]` positions in `table`, ascending."""

    def __len__(self) -> int:
        return len(self.places)

    def items(self, begin: int = 0, stop: int | None = None) -> NDArray[np.int32]:
        """Item numbers of the events `begin..stop`."""
        return self.table.items[self.places[begin:stop]]

    def actions(self, begin: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Action codes of the events `begin..stop`."""
        return self.table.actions[self.places[begin:stop]]

    def features(self, begin: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Feature rows of the events `begin..stop`, as serving would compute them."""
        before = max(begin - 1, 0)
        times = self.table.timestamps_ms[self.places[before:stop]]
        return sequence_features(self.actions(begin, stop), event_gaps(times)[begin - before :])


@dataclass(frozen=True, slots=True)
class Sequences:
    """The sequences of many users: 4 bytes an event beside the table, and 16 a user."""

    table: EventTable
    order: NDArray[np.int32]
    """`[n]` positions in `table`, the events of a user side by side in time order."""
    starts: NDArray[np.int64]
    """`[users]` where each user's events begin in `order`, and `stops` where they end."""
    stops: NDArray[np.int64]

    @property
    def users(self) -> NDArray[np.int32]:
        """`[users]` the number of each in `table.user_ids`."""
        return self.table.users[self.order[self.starts]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """`[users]` events of each."""
        return self.stops - self.starts

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, at: int) -> Sequence:
        return Sequence(self.table, self.order[self.starts[at] : self.stops[at]])


class Batch(NamedTuple):
    """Inputs and targets of several sequences, padded on the right with `NO_ROW`."""

    rows: NDArray[np.int64]
    """`[B, T]` rows of the input items."""
    features: NDArray[np.float32]
    """`[B, T, f]`."""
    targets: NDArray[np.int64]
    """`[B, T]` row of the next item; `NO_ROW` where there is none or it has no vector."""
    actions: NDArray[np.uint8]
    """`[B, T]` action code of that next event; 0 where there is none."""


def user_sequences(table: EventTable, shortest: int = 1) -> Sequences:
    """Group a table by user, in order of user number; leave out those with fewer events."""
    order = np.argsort(table.users, kind="stable").astype(np.int32)
    counts = np.bincount(table.users, minlength=len(table.user_ids))
    stops = np.cumsum(counts)
    kept = counts >= max(shortest, 1)
    return Sequences(table, order, (stops - counts)[kept], stops[kept])


def epoch(
    sequences: Sequences,
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
    pieces = _pieces(sequences.lengths, rng, window)
    lengths = pieces[:, 2] - pieces[:, 1]
    order = np.argsort(lengths + rng.uniform(0, 8, len(pieces)), kind="stable")
    cuts = [0]
    longest = 0
    for place, length in enumerate((lengths[order] - 1).tolist()):
        longest = max(longest, length)
        if place > cuts[-1] and (place - cuts[-1] + 1) * longest > batch_tokens:
            cuts.append(place)
            longest = length
    bounds = [*zip(cuts, [*cuts[1:], len(order)], strict=True)]
    for number in rng.permutation(len(bounds)).tolist():
        chosen = pieces[order[slice(*bounds[number])]].tolist()
        if chosen:
            batch = [(sequences[at], begin, stop) for at, begin, stop in chosen]
            yield pad(batch, vocabulary, lambda count: _lags(count, reach, rng))


def _pieces(lengths: NDArray[np.int64], rng: np.random.Generator, window: int) -> NDArray[np.int32]:
    """Pieces `[n, 3]` of sequences of these lengths: which sequence, begin, stop."""
    pieces = array("i")
    for at, length in enumerate(lengths.tolist()):
        first = int(rng.integers(1, window + 1)) if length > window + 1 else window
        for start in range(first - window, length - 1, window):
            begin, stop = max(start, 0), min(start + window + 1, length)
            if stop - begin > 1:
                pieces.extend((at, begin, stop))
    return np.frombuffer(pieces, np.int32).reshape(-1, 3) if pieces else np.empty((0, 3), np.int32)


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
    actions = np.zeros((len(pieces), longest), np.uint8)
    features = np.zeros((len(pieces), longest, FEATURES), np.float32)
    for at, (sequence, begin, stop) in enumerate(pieces):
        length = stop - begin - 1
        ahead = np.arange(1, length + 1)
        if lags is not None:
            further = ahead - 1 + lags(length)
            ahead = np.where(further < len(sequence) - begin, further, ahead)
        end = begin + int(ahead.max(initial=0)) + 1
        known = vocabulary.rows[sequence.items(begin, end)]
        rows[at, :length], targets[at, :length] = known[:length], known[ahead]
        actions[at, :length] = sequence.actions(begin, end)[ahead]
        features[at, :length] = sequence.features(begin, stop - 1)
    return Batch(rows, features, targets, actions)
