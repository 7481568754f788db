"""How close a candidate is to the user's vector."""

from __future__ import annotations

import numpy as np

from stream_app.catalog import Catalog
from stream_app.ranking.batch import Floats, UserBatch
from stream_app.ranking.candidates import Pool, Proposal


class Affinity:
    """Cosine over the temperature of the training loss: the logit the encoder was trained on."""

    name = "affinity"

    def __init__(self, catalog: Catalog, temperature: float) -> None:
        self._catalog = catalog
        self._scale = np.float32(1.0 / temperature)

    def score(self, pool: Pool) -> Floats:
        """Take what the index computed; gather vectors only for what other sources proposed."""
        scores = np.empty(pool.items.shape, np.float32)
        for columns, proposal in pool.columns():
            scores[:, columns] = self._affinity(pool.users, proposal)
        scores *= self._scale
        return scores

    def _affinity(self, users: UserBatch, proposal: Proposal) -> Floats:
        if proposal.affinity is not None:
            return proposal.affinity
        if len(proposal.items) == 1:
            shared: Floats = users.vectors @ self._catalog.vectors_of(proposal.items[0]).T
            return shared
        vectors = self._catalog.vectors_of(proposal.items)
        own: Floats = np.matmul(vectors, users.vectors[:, :, None])[:, :, 0]
        return own
