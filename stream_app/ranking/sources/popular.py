"""The last resort: the whole catalogue, most popular first."""

from __future__ import annotations

import numpy as np

from stream_app.catalog import Catalog
from stream_app.ranking.batch import Floats, Indices, UserBatch
from stream_app.ranking.candidates import Proposal


class Popular:
    """As many of the most popular items as any user's past holds, and `k` more.

    That is enough for a full list: a past of `f` entries can forbid `f` items, which leaves `k` of
    any `k + f`.
    """

    name = "popular"

    def __init__(self, catalog: Catalog, popularity: Floats, k: int) -> None:
        """Order by `popularity` `[N]`; items that join the catalogue later come last."""
        self._catalog = catalog
        self._order: Indices = np.argsort(-popularity, kind="stable").astype(np.int32)
        self._k = k

    def propose(self, users: UserBatch) -> list[Proposal]:
        """One shared row of items."""
        count = self._k + int(np.bincount(users.past.rows).max(initial=0))
        items = self._order[:count]
        known = len(self._order)
        newer = np.arange(known, min(len(self._catalog), known + count - len(items)))
        return [Proposal(np.concatenate([items, newer.astype(np.int32)])[None, :])]
