"""What the user's next event is worth if it is on the candidate, by the action it would be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream_app.bundle import ActionHead
from stream_app.catalog import Catalog
from stream_app.ranking.batch import Floats
from stream_app.ranking.candidates import Pool


class ActionValue:
    """Log of the expected value of the event: sum over actions of probability times value.

    Added to the log of how likely the item comes next, it makes the score one of expected value,
    so several actions are one objective (Ma et al. 2018, ESMM). If all values are 1, it is 0.
    """

    name = "action value"

    def __init__(self, head: ActionHead, catalog: Catalog, values: Sequence[float]) -> None:
        """`values` are what an event is worth, by action code; all above 0."""
        self._head = head
        self._catalog = catalog
        self._values = np.array(values, np.float32)

    def score(self, pool: Pool) -> Floats:
        """Gather the vectors of a proposal once if it is the same for all users."""
        scores = np.empty(pool.items.shape, np.float32)
        for columns, proposal in pool.columns():
            items = self._catalog.vectors_of(proposal.items)
            shares = self._head.probabilities(pool.users.vectors, items)
            scores[:, columns] = np.log(self._values @ shares)
        return scores
