"""Candidates near the items that the user was at last."""

from __future__ import annotations

from stream_app.ranking.batch import UserBatch
from stream_app.ranking.candidates import Proposal
from stream_app.retrieval.neighbours import Neighbours


class Similar:
    """The `most` nearest by item vector of each of the last `recent` items."""

    name = "similar"

    def __init__(self, neighbours: Neighbours, recent: int, most: int) -> None:
        self._neighbours = neighbours
        self._recent = recent
        self._most = most

    def propose(self, users: UserBatch) -> list[Proposal]:
        """One proposal for each place in the history."""
        near = self._neighbours.of(users.recent[:, : self._recent])[:, :, : self._most]
        return [Proposal(near[:, place]) for place in range(near.shape[1])]
