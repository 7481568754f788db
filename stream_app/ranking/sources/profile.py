"""Candidates near what the user says, or what is looked for."""

from __future__ import annotations

import numpy as np

from stream_app.ranking.batch import NONE, UserBatch
from stream_app.ranking.candidates import Proposal
from stream_app.retrieval import Within
from stream_app.retrieval.base import ItemIndex


class Profile:
    """The `depth` items closest to the profile's vector, of those that the batch's terms allow."""

    name = "profile"

    def __init__(self, index: ItemIndex, within: Within, depth: int) -> None:
        self._index = index
        self._within = within
        self._depth = depth

    def propose(self, users: UserBatch) -> list[Proposal]:
        """Search for the users who have one; nothing where nobody has."""
        if users.profiles is None:
            return []
        rows = np.flatnonzero(users.profiles.any(axis=1))
        items = np.full((len(users), self._depth), NONE, np.int32)
        vectors = users.profiles[rows]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        allowed, found = users.terms.allowed, None
        if allowed is not None:
            found = self._within.search(allowed, vectors, self._depth)
        items[rows], _ = found or self._index.search(vectors, self._depth)
        return [Proposal(items)]
