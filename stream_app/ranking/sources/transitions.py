"""Candidates that others moved on to from the items this user came from."""

from __future__ import annotations

from stream_app.ranking.batch import UserBatch
from stream_app.ranking.candidates import Proposal
from stream_app.ranking.live.transitions import TransitionStore


class Transitions:
    """The successors of each of the last `recent` items, `FAN_OUT` of each."""

    name = "transitions"

    def __init__(self, store: TransitionStore, recent: int) -> None:
        self._store = store
        self._recent = recent

    def propose(self, users: UserBatch) -> list[Proposal]:
        """One proposal for each place in the history: successors of one item are all different."""
        successors, _ = self._store.successors_of(users.recent[:, : self._recent])
        return [Proposal(successors[:, place]) for place in range(successors.shape[1])]
