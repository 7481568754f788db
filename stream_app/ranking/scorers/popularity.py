"""How popular a candidate is now."""

from __future__ import annotations

from stream_app.ranking.batch import Floats
from stream_app.ranking.candidates import Pool
from stream_app.ranking.live.trends import TrendStore


class Popularity:
    """Log of the item's share of the present activity."""

    name = "popularity"

    def __init__(self, store: TrendStore) -> None:
        self._store = store

    def score(self, pool: Pool) -> Floats:
        """One look-up a candidate."""
        return self._store.log_share(pool.items)
