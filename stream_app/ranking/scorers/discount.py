"""How far a candidate is from being popular anyway."""

from __future__ import annotations

import numpy as np

from stream_app.ranking.batch import NONE, Floats
from stream_app.ranking.candidates import Pool
from stream_app.ranking.live.trends import TrendStore


class PopularityDiscount:
    """Minus the log of the item's share of the present activity, for users who are known.

    Times a weight `b` it divides what is like a probability by the share to the power of `b`
    (logit adjustment, Menon et al. 2021): at 1 nothing counts but how much likelier the user makes
    the item. Of a user without a vector and without a known item nothing says what is likelier,
    and popular items are the right ones: for them all scores are 0.
    """

    name = "popularity discount"

    def __init__(self, store: TrendStore) -> None:
        self._store = store

    def score(self, pool: Pool) -> Floats:
        """One look-up a candidate."""
        users = pool.users
        known = users.vectors.any(axis=1) | (users.recent != NONE).any(axis=1)
        shares = self._store.log_share(pool.items)
        return np.where(known[:, None], -shares, np.float32(0))
