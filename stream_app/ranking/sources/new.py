"""Candidates that have just joined the catalogue."""

from __future__ import annotations

from stream_app.ranking.batch import UserBatch
from stream_app.ranking.candidates import Proposal
from stream_app.ranking.live.arrivals import Arrivals


class New:
    """The newest arrivals, the same for everybody."""

    name = "new"

    def __init__(self, arrivals: Arrivals, most: int) -> None:
        self._arrivals = arrivals
        self._most = most

    def propose(self, users: UserBatch) -> list[Proposal]:
        """One shared row of items; none while nothing is new."""
        newest = self._arrivals.newest[: self._most]
        return [Proposal(newest[None, :])] if len(newest) else []
