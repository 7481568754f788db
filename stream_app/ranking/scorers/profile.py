"""How close a candidate is to what the user says, or to what is looked for."""

from __future__ import annotations

import numpy as np

from stream_app.catalog import Catalog
from stream_app.ranking.batch import Floats
from stream_app.ranking.candidates import Pool

_NOTHING = np.float32(0)


class ProfileMatch:
    """Cosine over the temperature of the training loss, times the weight that the user has.

    Items and texts are in one space (docs/cold-start.md), so the temperature is that of `Affinity`;
    `UserBatch.profiles` holds vectors that are as long as they count.
    """

    name = "profile"

    def __init__(self, catalog: Catalog, temperature: float) -> None:
        self._catalog = catalog
        self._scale = np.float32(1.0 / temperature)

    def score(self, pool: Pool) -> Floats:
        """Gathers vectors for the users who have a profile only, and nothing where nobody has."""
        profiles = pool.users.profiles
        if profiles is None:
            return np.broadcast_to(_NOTHING, pool.items.shape)
        rows = np.flatnonzero(profiles.any(axis=1))
        scores = np.zeros(pool.items.shape, np.float32)
        vectors = self._catalog.vectors_of(pool.items[rows])
        scores[rows] = np.matmul(vectors, profiles[rows][:, :, None])[:, :, 0] * self._scale
        return scores
