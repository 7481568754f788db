"""Since when an item is known: the time of its first event."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.ranking.batch import Floats, Indices

NEVER = np.iinfo(np.int64).max
"""In place of a time: no event was on the item."""
_MS_PER_DAY = 86_400_000


class FirstSeen:
    """Time of the first event on each item; event time, so that a replay gives the same."""

    def __init__(self, first_ms: NDArray[np.int64], now_ms: int) -> None:
        """Start from times `[N]` (Unix ms), `NEVER` where there is none, as of `now_ms`."""
        self._first_ms = first_ms.copy()
        self._now_ms = now_ms

    def grow(self, size: int) -> None:
        """Make room for a catalogue of `size` items."""
        more = size - len(self._first_ms)
        if more > 0:
            room = np.full(max(more, len(self._first_ms)), NEVER)
            self._first_ms = np.concatenate([self._first_ms, room])

    def learn(self, items: Indices, timestamps_ms: NDArray[np.int64]) -> None:
        """Take events `[n]`; items at -1 are left out. A late event makes no item older."""
        known = items >= 0
        items, timestamps_ms = items[known], timestamps_ms[known]
        if not len(items):
            return
        self._now_ms = max(self._now_ms, int(timestamps_ms.max()))
        new = self._first_ms[items] == NEVER
        np.minimum.at(self._first_ms, items[new], timestamps_ms[new])

    def log_age(self, items: Indices, listed_ms: NDArray[np.int64]) -> Floats:
        """Log of 1 and the days since items `[...]` are known, float32; NaN where nothing says it.

        `listed_ms` `[...]` is since when each was on offer, which wins over events; the smallest
        int64 where that is not said.
        """
        first = np.where(items >= 0, self._first_ms.take(items, mode="clip"), NEVER)
        said = listed_ms != np.iinfo(np.int64).min
        first = np.where(said, listed_ms, first)
        days = (self._now_ms - np.minimum(first, self._now_ms)) / _MS_PER_DAY
        return np.where(first == NEVER, np.nan, np.log1p(days)).astype(np.float32)
