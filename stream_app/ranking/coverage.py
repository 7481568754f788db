"""How much of the catalogue the lists of the last hour show, and whether a few items take over.

A count for each item and period: 16 bytes an item, whatever the number of lists.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog

PERIOD_MS = 15 * 60 * 1000
PERIODS = 4
"""The present one, and those before: 45 to 60 minutes."""
TOP = 10
LOOK_MS = 10_000
"""How old figures may be: Prometheus asks no more often, and at a million items they take 5 to 20
ms."""


class Shown(NamedTuple):
    """Figures of the last hour; None while it has no list."""

    coverage: float | None
    """Share of the items that may be recommended which were in lists."""
    top_share: float | None
    """Share of all places of lists that the `TOP` items listed most often hold."""


class Coverage:
    """Follows a catalogue as it grows; use from one thread at a time."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._counts = np.zeros((PERIODS, len(catalog)), np.uint32)
        self._period = 0
        self._looked_ms = -LOOK_MS
        self._shown = Shown(None, None)

    def add(self, items: NDArray[np.int32], now_ms: int) -> None:
        """These items, catalogue positions `[n]`, were put into lists at a time (Unix ms)."""
        self._turn_to(now_ms)
        if self._counts.shape[1] < len(self._catalog):
            self._grow()
        np.add.at(self._counts[self._period % PERIODS], items, np.uint32(1))

    def shown(self, now_ms: int) -> Shown:
        """The figures at a time (Unix ms), or up to `LOOK_MS` before."""
        if not 0 <= now_ms - self._looked_ms < LOOK_MS:
            self._turn_to(now_ms)
            self._looked_ms, self._shown = now_ms, self._look()
        return self._shown

    def _look(self) -> Shown:
        counts = self._counts.sum(axis=0, dtype=np.uint32)
        listed = np.flatnonzero(counts)
        if not len(listed):
            return Shown(None, None)
        counts = counts[listed]
        places = int(counts.sum(dtype=np.int64))
        top = np.partition(counts, -TOP)[-TOP:] if len(counts) > TOP else counts
        size, available = len(self._catalog), self._catalog.available
        covering = len(listed)
        if available is not None:
            covering = int(np.count_nonzero(available[listed]))
            size = int(np.count_nonzero(available[:size]))
        covered = covering / size if size else None
        return Shown(covered, int(top.sum()) / places)

    def _turn_to(self, now_ms: int) -> None:
        """Forget what is too old; a clock that was put back changes nothing."""
        period = now_ms // PERIOD_MS
        for passed in range(max(self._period + 1, period - PERIODS + 1), period + 1):
            self._counts[passed % PERIODS] = 0
        self._period = max(self._period, period)

    def _grow(self) -> None:
        counts = np.zeros((PERIODS, len(self._catalog) * 5 // 4), np.uint32)
        counts[:, : self._counts.shape[1]] = self._counts
        self._counts = counts
