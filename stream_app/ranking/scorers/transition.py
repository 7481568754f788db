"""How likely a candidate is to follow the user's last items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream_app.ranking.batch import Floats
from stream_app.ranking.candidates import Pool
from stream_app.ranking.live.transitions import TransitionStore


class Transition:
    """Log of the transition probability, mixed over the last items with given weights."""

    name = "transition"

    def __init__(self, store: TransitionStore, weights: Sequence[float], floor: float) -> None:
        """`weights` are those of the last items, newest first; `floor` is added to a probability:
        it says how likely a transition is that was never counted.
        """
        self._store = store
        self._weights = (np.array(weights) / sum(weights)).astype(np.float32)[:, None]
        self._floor = np.float32(floor)

    def score(self, pool: Pool) -> Floats:
        """Add up the weighted probabilities by item, and read those of the candidates."""
        rows, places = len(pool.users), len(self._weights)
        successors, probabilities = self._store.successors_of(pool.users.recent[:, :places])
        votes = (probabilities * self._weights).reshape(rows, -1)
        found = pool.grid.sums(successors.reshape(rows, -1), votes, pool.cells)
        found += self._floor
        return np.log(found, out=found)
