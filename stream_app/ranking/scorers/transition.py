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
        self._weights = [np.float32(weight / sum(weights)) for weight in weights]
        self._floor = np.float32(floor)

    def score(self, pool: Pool) -> Floats:
        """Write the probabilities into the grid, read those of the candidates."""
        recent = pool.users.recent[:, : len(self._weights)]
        successors, probabilities = self._store.successors_of(recent)
        values = pool.grid.values
        cells = [pool.grid.cells(successors[:, place]) for place in range(successors.shape[1])]
        for place, where in enumerate(cells):
            values[where] += probabilities[:, place] * self._weights[place]
        found = values.take(pool.cells)
        for where in cells:
            values[where] = 0.0
        scores: Floats = np.log(found + self._floor)
        return scores
