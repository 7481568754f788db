"""What a recommender counts of its lists, for metrics; a few array operations for many lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.degradations import Degradation, degraded
from stream_app.ranking.batch import NONE, Indices
from stream_app.ranking.coverage import Coverage, Shown
from stream_app.ranking.funnel import Funnel
from stream_app.ranking.pipeline import Pipeline, Ranked

TOGETHER = 64
"""Lists counted at once: in small batches it would cost more to count them than to look at them."""


class Tally:
    """Of one recommender; use from its thread. Lists are counted a little later, or by `fold`."""

    def __init__(self, catalog: Catalog) -> None:
        self.funnel = Funnel()
        self.coverage = Coverage(catalog)
        self._pipeline: Pipeline | None = None
        self._items: list[Indices] = []
        self._marks: list[NDArray[np.uint16]] = []
        self._lengths: list[int] = []
        self._now_ms = 0

    def lists(
        self, ranked: Ranked, lengths: Sequence[int], pipeline: Pipeline, now_ms: int
    ) -> None:
        """`pipeline` made lists at a time (Unix ms), of which the first `lengths` `[R]` places
        count.
        """
        if pipeline is not self._pipeline:
            self.fold()
            self._pipeline = pipeline
        self._items.append(ranked.items)
        self._marks.append(ranked.sources)
        self._lengths += lengths
        self._now_ms = now_ms
        if len(self._lengths) >= TOGETHER:
            self.fold()

    def shown(self, now_ms: int) -> Shown:
        """What the lists of the last hour show, at a time (Unix ms)."""
        self.fold()
        return self.coverage.shown(now_ms)

    def fold(self) -> None:
        """Count the lists that were not counted yet."""
        if self._pipeline is None or not self._lengths:
            return
        items, marks = np.concatenate(self._items), np.concatenate(self._marks)
        asked = np.array(self._lengths)
        self._items, self._marks, self._lengths = [], [], []
        held = items != NONE
        if asked.min() < items.shape[1] or not held.all():  # seldom
            held &= np.arange(items.shape[1]) < asked[:, None]
            short = np.count_nonzero(np.count_nonzero(held, axis=1) < asked)
            degraded(Degradation.LIST_SHORT, int(short))
            items, marks = items[held], marks[held]
        self.funnel.place([one.name for one in self._pipeline.sources], marks.ravel())
        self.coverage.add(items.ravel(), self._now_ms)
