"""The four kinds of stage of the pipeline. One idea is one small class in one file.

A stage takes arrays and returns arrays; the pipeline owns batching, scratch memory and timing.
"""

from __future__ import annotations

from typing import Protocol

from stream_app.ranking.batch import Floats, Indices, Rows, UserBatch
from stream_app.ranking.candidates import Pool, Proposal, Ranking


class Source(Protocol):
    """Where candidates come from."""

    name: str
    """As in `RankedItem.sources`."""

    def propose(self, users: UserBatch) -> list[Proposal]:
        """Propose items for each user; they may be forbidden, or proposed by others too."""


class Filter(Protocol):
    """What a user must not be shown."""

    name: str

    def forbidden(self, users: UserBatch) -> tuple[Rows, Indices]:
        """Pairs `[n]` of a user's row and a catalogue position not to be shown; -1 is no item."""


class Scorer(Protocol):
    """One reason to prefer a candidate, in nats (a logit or the logarithm of a probability).

    It may have an attribute `idle`: while that is true it says nothing of any item, is not asked,
    and is no part of an explanation.
    """

    name: str

    def score(self, pool: Pool) -> Floats:
        """Scores `[R, C]` of the candidates; what it gives for a closed one does not matter."""


class Reranker(Protocol):
    """Decides with the whole list in view."""

    name: str

    def rerank(self, ranking: Ranking, users: UserBatch) -> Ranking:
        """Return an ordered ranking of the users' items, best first."""
