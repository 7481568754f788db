"""Which item follows which: counts that start from the bundle and learn from every event.

First-order transition counts are the baseline that a sequence model has to beat, and a source
that knows of a new item the moment somebody moves on to it. Counting further lags, and both ways,
makes them counts of what goes together, which are denser; the release says what was better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.ranking.batch import NONE, Floats, Indices

FAN_OUT = 32
"""Successors kept of an item. The rest of a popular item's successors is noise."""

# A row whose counts pass this is halved: what happens now keeps weighing against the past, and
# float32 keeps counting single events.
_HALVE_AT = 100_000.0

LAG_DECAY = 0.7
"""How much less an item counts as following one that lies one event further back."""


class TransitionStore:
    """The `F` most frequent successors of every item, with counts.

    A full row makes room as Space-Saving does (Metwally et al. 2005): the new successor takes the
    place and the count of the rarest, so a frequent one cannot be missed for ever.
    """

    def __init__(self, successors: Indices, counts: Floats) -> None:
        """Start from `successors` `[N, F]` (-1 for none) and their `counts` `[N, F]`."""
        if successors.ndim != 2 or successors.shape != counts.shape:
            raise ValueError(
                f"successors {successors.shape} and counts {counts.shape} must both be [N, F]"
            )
        self._size = len(successors)
        # The last row stays empty: position -1 reads it.
        successors = without_repeats(successors)
        self._successors = np.concatenate([successors, _empty(1, successors.shape[1])])
        self._counts = np.concatenate([counts, np.zeros((1, counts.shape[1]), np.float32)])
        self._counts[self._successors == NONE] = 0.0
        self._totals = self._counts.sum(axis=1)

    @classmethod
    def empty(cls, size: int) -> TransitionStore:
        """A store for `size` items that has seen nothing."""
        return cls(_empty(size, FAN_OUT), np.zeros((size, FAN_OUT), np.float32))

    def __len__(self) -> int:
        return self._size

    def grow(self, size: int) -> None:
        """Make room for a catalogue of `size` items."""
        if size <= self._size:
            return
        if size >= len(self._counts):
            more = max(size + 1, 2 * len(self._counts)) - len(self._counts)
            fan_out = self._counts.shape[1]
            self._successors = np.concatenate([self._successors, _empty(more, fan_out)])
            self._counts = np.concatenate([self._counts, np.zeros((more, fan_out), np.float32)])
            self._totals = np.concatenate([self._totals, np.zeros(more, np.float32)])
        self._size = size

    def successors_of(self, items: Indices) -> tuple[Indices, Floats]:
        """Successors of items `[...]` and their probabilities, both `[..., F]`.

        One event more than was counted is reckoned to go elsewhere: a single transition is weak
        evidence.
        """
        totals = self._totals.take(items) + np.float32(1.0)
        return self._successors.take(items, axis=0), (
            self._counts.take(items, axis=0) / totals[..., None]
        )

    def learn(self, previous: Indices, following: Indices, both_ways: bool = False) -> None:
        """Count that `following` `[n]` came after `previous` `[n, L]`, its newest item first.

        A -1 on either side is left out.
        """
        rows, items, added = weighted_pairs(previous, following, both_ways)
        if not len(rows):
            return
        np.add.at(self._totals, rows, added)
        matches = self._successors[rows] == items[:, None]
        held = matches.any(axis=1)
        self._counts[rows[held], matches.argmax(axis=1)[held]] += added[held]
        self._replace(rows[~held], items[~held], added[~held])
        self._age(rows)

    def _replace(self, rows: Indices, items: Indices, added: Floats) -> None:
        """Put new successors in the places of the rarest; `rows` is sorted."""
        if not len(rows):
            return
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        fits = rank < self._counts.shape[1]
        rows, items, added, rank = rows[fits], items[fits], added[fits], rank[fits]
        rarest = np.argsort(self._counts[rows], axis=1, kind="stable")
        places = rarest[np.arange(len(rows)), rank]
        self._successors[rows, places] = items
        self._counts[rows, places] += added

    def _age(self, rows: Indices) -> None:
        rows = np.unique(rows[self._totals[rows] > _HALVE_AT])
        self._counts[rows] *= 0.5
        self._totals[rows] *= 0.5


def weighted_pairs(
    previous: Indices, following: Indices, both_ways: bool
) -> tuple[Indices, Indices, Floats]:
    """Different pairs of row and successor, sorted, and their weight, from events `[n]`.

    `previous` `[n, L]` are the items before each of `following` `[n]`, newest first.
    """
    lags = previous.shape[1]
    rows, items = previous.ravel(), following.repeat(lags)
    weights = np.tile(LAG_DECAY ** np.arange(lags), len(following))
    known = (rows >= 0) & (items >= 0) & (rows != items)
    rows, items, weights = rows[known], items[known], weights[known]
    if both_ways:
        rows, items = np.concatenate([rows, items]), np.concatenate([items, rows])
        weights = np.tile(weights, 2)
    return summed_pairs(rows, items, weights)


def summed_pairs(
    rows: Indices, items: Indices, weights: NDArray[np.floating]
) -> tuple[Indices, Indices, Floats]:
    """Different pairs of row and item, sorted, and the sum of the weights of each."""
    # One integer a pair: `np.unique` over columns would sort them as opaque records.
    pairs, inverse = np.unique(rows.astype(np.int64) << 32 | items, return_inverse=True)
    added = np.bincount(inverse, weights, len(pairs)).astype(np.float32)
    return (pairs >> 32).astype(np.int32), pairs.astype(np.int32), added


def without_repeats(successors: Indices) -> Indices:
    """Blank an item that its row `[R, m]` holds already: proposed twice it would be shown twice."""
    order = np.argsort(successors, axis=1, kind="stable")
    ordered = np.take_along_axis(successors, order, axis=1)
    repeats = np.zeros(successors.shape, np.bool_)
    np.put_along_axis(repeats, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return np.where(repeats, np.int32(NONE), successors)


def _empty(rows: int, fan_out: int) -> Indices:
    return np.full((rows, fan_out), NONE, np.int32)
