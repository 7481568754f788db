"""The last resort: the whole catalogue, most popular first."""

from __future__ import annotations

import numpy as np

from stream_app.catalog import Catalog
from stream_app.ranking.batch import Floats, Indices, UserBatch
from stream_app.ranking.candidates import Proposal


class Popular:
    """As many of the most popular items as any user's past holds, and `k` more.

    That is enough for a full list: a past of `f` entries can forbid `f` items, which leaves `k` of
    any `k + f`. Items that must not be recommended are not among them.
    """

    name = "popular"

    def __init__(self, catalog: Catalog, popularity: Floats, k: int) -> None:
        """Order by `popularity` `[N]`, or by what producers say of an item, where they do.

        Items that join the catalogue later, and of which nothing is said, come last.
        """
        self._catalog = catalog
        self._popularity = popularity
        self._k = k
        self._look()

    def propose(self, users: UserBatch) -> list[Proposal]:
        """One shared row of items."""
        if self._seen != self._catalog.changes:
            self._look()
        count = self._k + int(np.bincount(users.past.rows).max(initial=0))
        order, allowed = self._order, users.terms.allowed
        if allowed is not None:
            order = order[allowed.take(order)]
        items = order[:count]
        newer = np.arange(self._known, len(self._catalog), dtype=np.int32)
        available = self._catalog.available
        if available is not None:
            newer = newer[available.take(newer)]
        if allowed is not None:
            newer = newer[allowed.take(newer)]
        shared = np.concatenate([items, newer[: count - len(items)]])
        return [Proposal(shared[None, :]), *self._beside(order, newer, users, count)]

    def _beside(
        self, order: Indices, newer: Indices, users: UserBatch, count: int
    ) -> list[Proposal]:
        """Where groups have quotas: the most popular of what is in no group, and of each group."""
        quotas = users.terms.quotas
        if not quotas:
            return []
        whole = np.concatenate([order, newer])
        members = np.array([quota.items.take(whole) for quota in quotas])
        groups = [~members.any(axis=0), *members]
        return [Proposal(whole[group][:count][None, :]) for group in groups]

    def _look(self) -> None:
        """Order what is in the catalogue now."""
        self._seen, self._known = self._catalog.changes, len(self._catalog)
        said = self._catalog.popularity
        popularity = np.full(self._known, -1, np.float32)
        popularity[: len(self._popularity)] = self._popularity
        np.copyto(popularity, said, where=~np.isnan(said))
        order: Indices = np.argsort(-popularity, kind="stable").astype(np.int32)
        available = self._catalog.available
        self._order = order if available is None else order[available.take(order)]
