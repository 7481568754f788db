"""Candidates that are popular now."""

from __future__ import annotations

from stream_app.ranking.batch import UserBatch
from stream_app.ranking.candidates import Proposal
from stream_app.ranking.live.trends import TOP, TrendStore


class Trending:
    """The top of the decayed counts, the same for everybody."""

    name = "trending"

    def __init__(self, store: TrendStore, most: int = TOP) -> None:
        self._store = store
        self._most = most

    def propose(self, users: UserBatch) -> list[Proposal]:
        """One shared row of items."""
        return [Proposal(self._store.top[None, : self._most])]
