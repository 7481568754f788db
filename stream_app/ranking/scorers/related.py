"""Whether a candidate goes with the user's last items, as their producer says."""

from __future__ import annotations

import numpy as np

from stream_app.catalog.related import RelatedItems
from stream_app.ranking.batch import Floats
from stream_app.ranking.candidates import Pool


class RelatedTo:
    """1 for what is related to the newest item; for one before it less by `decay` a place."""

    name = "related"

    def __init__(self, related: RelatedItems, recent: int, most: int, decay: float) -> None:
        """The first `most` related items of each of the last `recent` items count."""
        self._related = related
        self._recent = recent
        self._most = most
        self._decay = decay

    @property
    def idle(self) -> bool:
        """While no item has related ones."""
        return not len(self._related)

    def score(self, pool: Pool) -> Floats:
        """The highest over the last items."""
        found = self._related.of(pool.users.recent[:, : self._recent])[:, :, : self._most]
        scores = np.zeros(pool.items.shape, np.float32)
        for place in range(found.shape[1]):
            worth = np.full(found[:, place].shape, self._decay**place, np.float32)
            worth[found[:, place] < 0] = 0.0  # -1 is the cell of no item, which all share
            np.maximum(scores, pool.grid.sums(found[:, place], worth, pool.cells), out=scores)
        return scores
