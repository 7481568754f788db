"""Candidates near the user's vector."""

from __future__ import annotations

from stream_app.ranking.batch import UserBatch
from stream_app.ranking.candidates import Proposal
from stream_app.retrieval import Within
from stream_app.retrieval.base import ItemIndex


class Personal:
    """The `depth` items closest to the user vector, of those that the batch's terms allow."""

    name = "personal"

    def __init__(self, index: ItemIndex, within: Within, depth: int) -> None:
        self._index = index
        self._within = within
        self._depth = depth

    def propose(self, users: UserBatch) -> list[Proposal]:
        """Search for all users at once; nothing for a user without a vector."""
        allowed, found = users.terms.allowed, None
        if allowed is not None:
            found = self._within.search(allowed, users.vectors, self._depth)
        return [Proposal(*(found or self._index.search(users.vectors, self._depth)))]
