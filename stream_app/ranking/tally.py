"""What a recommender counts of its lists, for metrics; a few array operations for each batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream_app.catalog import Catalog
from stream_app.degradations import Degradation, degraded
from stream_app.ranking.batch import NONE
from stream_app.ranking.coverage import Coverage
from stream_app.ranking.funnel import Funnel
from stream_app.ranking.pipeline import Ranked


class Tally:
    """Of one recommender; use from its thread."""

    def __init__(self, catalog: Catalog) -> None:
        self.funnel = Funnel()
        self.coverage = Coverage(catalog)

    def lists(
        self, ranked: Ranked, lengths: Sequence[int], sources: Sequence[str], now_ms: int
    ) -> None:
        """Lists were made at a time (Unix ms), of which the first `lengths` `[R]` places count.

        `sources` are the names behind the bits of `Ranked.sources`.
        """
        items, marks = ranked.items, ranked.sources
        rows, k = items.shape
        held = items != NONE
        if min(lengths) < k or np.count_nonzero(held) < rows * k:  # seldom
            asked = np.array(lengths)
            held &= np.arange(k) < asked[:, None]
            short = np.count_nonzero(np.count_nonzero(held, axis=1) < asked)
            degraded(Degradation.LIST_SHORT, int(short))
            items, marks = items[held], marks[held]
        self.funnel.place(sources, marks.ravel())
        self.coverage.add(items.ravel(), now_ms)
