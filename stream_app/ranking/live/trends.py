"""What is popular now: one exponentially decayed count per item, by event time.

Forward decay (Cormode et al. 2009): an event at time `t` adds `2 ** ((t - landmark) / half_life)`
and counts are never touched again, so a batch costs the items in it, not the catalogue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.ranking.batch import Floats, Indices
from stream_app.ranking.live.counters import Rise

TOP = 64
"""Items in the list of trends: more than a list needs after a user's own items are taken out."""

# Weights are doubles: at 2 ** 60 a count of one at the landmark is still held exactly enough.
_REBASE_AFTER = 60.0


class TrendStore:
    """Decayed counts `[N]` and the items on top of them."""

    def __init__(self, counts: Floats, at_ms: int, half_life_ms: float, top: int = TOP) -> None:
        """Start from decayed `counts` `[N]` as they were at `at_ms` (Unix ms)."""
        if not half_life_ms > 0:
            raise ValueError(f"half-life of {half_life_ms} ms: pass a positive number")
        self._counts: NDArray[np.float64] = counts.astype(np.float64)
        self._size = len(counts)
        self._total = float(self._counts.sum())
        self._landmark_ms = self._now_ms = at_ms
        self._half_life_ms = half_life_ms
        self._top_size = top
        self.top: Indices = self._best(np.arange(self._size, dtype=np.int32))
        """The items with the highest counts, best first."""

    def __len__(self) -> int:
        return self._size

    def grow(self, size: int) -> None:
        """Make room for a catalogue of `size` items."""
        if size > len(self._counts):
            more = max(size, 2 * len(self._counts)) - len(self._counts)
            self._counts = np.concatenate([self._counts, np.zeros(more)])
        self._size = max(size, self._size)

    def learn(self, items: Indices, timestamps_ms: NDArray[np.int64]) -> None:
        """Count events `[n]`; items at -1 are left out."""
        known = items >= 0
        items, timestamps_ms = items[known], timestamps_ms[known]
        if not len(items):
            return
        self._now_ms = max(self._now_ms, int(timestamps_ms.max()))
        if self._age(self._now_ms) > _REBASE_AFTER:
            self._rebase()
        weights = np.exp2((timestamps_ms - self._landmark_ms) / self._half_life_ms)
        np.add.at(self._counts, items, weights)
        self._total += float(weights.sum())
        # Decay keeps the order of items without events: only those with some can enter the top.
        self.top = self._best(np.union1d(self.top, items).astype(np.int32))

    def add(self, rise: Rise, now_ms: int) -> None:
        """Take up counts of other workers, made of events until `now_ms` (event time)."""
        if not len(rise.items):
            return
        self._now_ms = max(self._now_ms, now_ms)
        if self._age(self._now_ms) > _REBASE_AFTER:
            self._rebase()
        landmark = self._landmark_ms / self._half_life_ms
        weights = np.exp2(rise.after - landmark) - np.exp2(rise.before - landmark)
        np.add.at(self._counts, rise.items, weights)
        self._total += float(weights.sum())
        self.top = self._best(np.union1d(self.top, rise.items).astype(np.int32))

    @property
    def now_ms(self) -> int:
        """The time of the newest event (Unix ms)."""
        return self._now_ms

    def events(self, items: Indices) -> NDArray[np.float64]:
        """Decayed counts of items `[...]`, in events that happen now."""
        counts: NDArray[np.float64] = self._counts.take(items) * 2.0 ** -self._age(self._now_ms)
        return counts

    def log_share(self, items: Indices) -> Floats:
        """Logarithm of the part of the present activity that fell on items `[...]`, float32.

        One event is reckoned to be spread over all items, so that the share is never zero.
        """
        now = 2.0 ** self._age(self._now_ms)  # one event now, in the unit of the counts
        spread = now / max(1, self._size)
        counts = self._counts.take(items).astype(np.float32)
        scale = np.float32(np.log(self._total + now))
        shares: Floats = np.log(counts + np.float32(spread)) - scale
        return shares

    def _age(self, timestamp_ms: int) -> float:
        """Half-lives since the landmark."""
        return (timestamp_ms - self._landmark_ms) / self._half_life_ms

    def _rebase(self) -> None:
        scale = 2.0 ** -self._age(self._now_ms)
        self._counts *= scale
        self._total *= scale
        self._landmark_ms = self._now_ms

    def _best(self, items: Indices) -> Indices:
        counts = self._counts[items]
        items, counts = items[counts > 0], counts[counts > 0]
        if len(items) > self._top_size:
            keep = np.argpartition(counts, -self._top_size)[-self._top_size :]
            items, counts = items[keep], counts[keep]
        return items[np.argsort(-counts, kind="stable")]
