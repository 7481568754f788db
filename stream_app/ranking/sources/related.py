"""Candidates that go with the items the user was at last, as their producer says."""

from __future__ import annotations

from stream_app.catalog.related import RelatedItems
from stream_app.ranking.batch import UserBatch
from stream_app.ranking.candidates import Proposal


class Related:
    """The first `most` related items of each of the last `recent` items."""

    name = "related"

    def __init__(self, related: RelatedItems, recent: int, most: int) -> None:
        self._related = related
        self._recent = recent
        self._most = most

    def propose(self, users: UserBatch) -> list[Proposal]:
        """One proposal for each place in the history; none while no item has related ones."""
        if not len(self._related):
            return []
        found = self._related.of(users.recent[:, : self._recent])[:, :, : self._most]
        return [Proposal(found[:, place]) for place in range(found.shape[1])]
