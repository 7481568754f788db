"""Candidates near the user's vector."""

from __future__ import annotations

from stream_app.ranking.batch import UserBatch
from stream_app.ranking.candidates import Proposal
from stream_app.retrieval.base import ItemIndex


class Personal:
    """The `depth` items closest to the user vector in the index."""

    name = "personal"

    def __init__(self, index: ItemIndex, depth: int) -> None:
        self._index = index
        self._depth = depth

    def propose(self, users: UserBatch) -> list[Proposal]:
        """Search for all users at once; nothing for a user without a vector."""
        items, scores = self._index.search(users.vectors, self._depth)
        return [Proposal(items, scores)]
