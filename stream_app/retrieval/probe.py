"""How much of the truth an index finds while it serves: now and then a query is asked exactly."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from stream_app.retrieval.recall import TIE
from stream_app.retrieval.vectors import NOTHING, answerable

Floats = NDArray[np.float32]

# An exact query reads the whole catalogue, 50 ms at a million items: that is 5 us a query.
QUERIES_PER_PROBE = 10_000
PROBES_KEPT = 100


class RecallProbe:
    """Compares every `QUERIES_PER_PROBE`-th query, and keeps the mean of the last ones."""

    def __init__(self, *, exact: bool) -> None:
        """`exact`: the index misses nothing by design, and the first query need not be asked."""
        self._until_next = QUERIES_PER_PROBE if exact else 1
        self._found: deque[float] = deque(maxlen=PROBES_KEPT)
        self.probes = 0
        """Queries that were compared so far."""

    @property
    def recall(self) -> float | None:
        """Share of the nearest items that were found; None before the first probe."""
        return float(np.mean(self._found)) if self._found else None

    def is_due(self, queries: int) -> bool:
        """Whether one of the next so many queries is to be compared."""
        self._until_next -= queries
        return self._until_next <= 0

    def compare(
        self,
        vectors: Floats,
        findable: NDArray[np.bool_],
        queries: Floats,
        found: NDArray[np.int32],
    ) -> None:
        """Compare what was `found` `[B, k]` for the last query of `[B, d]` that has an answer.

        The truth are the nearest of the items `findable` `[N]` among `vectors` `[N, d]`. An item
        as good as the k-th counts as found.
        """
        rows = np.flatnonzero(answerable(queries))
        wanted = min(found.shape[1], int(np.count_nonzero(findable)))
        if not len(rows) or not wanted:
            return
        self._until_next = QUERIES_PER_PROBE
        query, items = queries[rows[-1]], found[rows[-1]]
        scores = np.where(findable, vectors @ query, -np.inf)
        bound = np.partition(scores, len(scores) - wanted)[len(scores) - wanted] - TIE
        held = items[items != NOTHING]
        self._found.append(float(np.count_nonzero(scores[held] >= bound)) / wanted)
        self.probes += 1
