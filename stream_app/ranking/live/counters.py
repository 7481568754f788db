"""Decayed counts that grow only, by partition and item, so that workers can share them.

A worker counts what it reads of its partitions and publishes the counts; every worker takes the
highest count that it has seen of each partition and item. Merging by maximum is idempotent and
needs no order: a grow-only counter (G-Counter, Shapiro et al. 2011), of which a partition is a
replica. Forward decay (Cormode et al. 2009) is what makes a decayed count grow only: an event at
time `t` adds `2 ** (t / half_life)` for ever, and time is taken out when counts are compared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog.hashtable import HashTable
from stream_app.ranking.batch import Indices

Levels = NDArray[np.float64]
Partitions = NDArray[np.int64]

NOTHING = -np.inf
# Odd, so that multiplying by it maps keys one to one; it spreads them over the table (Knuth 6.4).
_SPREAD = np.uint64(0x9E37_79B9_7F4A_7C15)
_ITEM_BITS = np.uint64(32)


class Rise(NamedTuple):
    """Counts `[n]` that have grown."""

    items: Indices
    before: Levels
    """`NOTHING` where there was no count."""
    after: Levels


class Counts(NamedTuple):
    """Counts `[n]` to be published."""

    partitions: Partitions
    items: Indices
    levels: Levels


class PartitionCounts:
    """Levels by partition and catalogue position: `log2` of `sum 2 ** (t / half_life)`, t Unix ms.

    Only pairs with a count take memory, some 100 bytes each. Use from one thread at a time.
    """

    def __init__(self, half_life_ms: float) -> None:
        self.half_life_ms = half_life_ms
        self._places = HashTable()
        self._size = 0
        self._partitions: Partitions = np.zeros(0, np.int64)
        self._items: Indices = np.zeros(0, np.int32)
        self._levels: Levels = np.zeros(0)
        self._published: Levels = np.zeros(0)

    def __len__(self) -> int:
        return self._size

    def count(self, partitions: Partitions, items: Indices, timestamps_ms: Partitions) -> None:
        """Count events `[n]` read of `partitions`; positions of items are not negative."""
        places = self._find_or_add(partitions, items)
        np.logaddexp2.at(self._levels, places, timestamps_ms / self.half_life_ms)

    def merge(self, partitions: Partitions, items: Indices, levels: Levels) -> Rise:
        """Take up counts `[n]` that were published; returns those that were not known."""
        places = self._find_or_add(partitions, items)
        known, first = np.unique(places, return_index=True)
        before = self._levels[known]
        np.maximum.at(self._levels, places, levels)
        np.maximum.at(self._published, places, levels)
        after = self._levels[known]
        rose = after > before
        return Rise(items[first][rose], before[rose], after[rose])

    def unpublished(self, most: int) -> Counts:
        """At most so many counts that have grown since they were published, and take them for it.

        Those that have grown by most come first, so that what others do not know yet is little.
        """
        size = self._size
        grown = np.flatnonzero(self._levels[:size] > self._published[:size])
        if len(grown) > most:
            highest = self._levels[grown].max()  # as plain numbers they could be infinite
            growth = np.exp2(self._levels[grown] - highest)
            growth -= np.exp2(self._published[grown] - highest)
            grown = grown[np.argpartition(-growth, most)[:most]]
        counts = Counts(self._partitions[grown], self._items[grown], self._levels[grown])
        self._published[grown] = counts.levels
        return counts

    def not_published(self, counts: Counts) -> None:
        """Take back that these counts were published: they are given again."""
        places = self._find_or_add(counts.partitions, counts.items)
        self._published[places] = NOTHING

    def _find_or_add(self, partitions: Partitions, items: Indices) -> NDArray[np.int64]:
        keys = _keys(partitions, items)
        places = self._places.get(keys)
        if (places < 0).any():
            new, first = np.unique(keys[places < 0], return_index=True)
            unknown = np.flatnonzero(places < 0)[first]
            self._fit(self._size + len(new))
            added = np.arange(self._size, self._size + len(new), dtype=np.int32)
            self._partitions[added], self._items[added] = partitions[unknown], items[unknown]
            self._places.add(new, added)
            self._size += len(new)
            places = self._places.get(keys)
        return places.astype(np.int64)

    def _fit(self, size: int) -> None:
        more = size - len(self._levels)
        if more > 0:
            more = max(more, len(self._levels), 1024)
            self._partitions = np.append(self._partitions, np.zeros(more, np.int64))
            self._items = np.append(self._items, np.zeros(more, np.int32))
            self._levels = np.append(self._levels, np.full(more, NOTHING))
            self._published = np.append(self._published, np.full(more, NOTHING))


def _keys(partitions: Partitions, items: Indices) -> NDArray[np.uint64]:
    """One key a pair, spread over 64 bits and never 0."""
    pairs = (partitions.astype(np.uint64) + np.uint64(1)) << _ITEM_BITS | items.astype(np.uint64)
    spread: NDArray[np.uint64] = pairs * _SPREAD
    return spread ^ spread >> _ITEM_BITS
