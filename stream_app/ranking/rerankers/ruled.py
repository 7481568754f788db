"""What operators insist on, around the other rerankers: pins at their places, quotas kept."""

from __future__ import annotations

from collections.abc import Sequence

from stream_app.ranking.batch import UserBatch
from stream_app.ranking.candidates import Ranking
from stream_app.ranking.rerankers.pins import pinned, placed, without
from stream_app.ranking.rerankers.quotas import within
from stream_app.ranking.stages import Reranker


class Ruled:
    """The other rerankers order what is not pinned, of what quotas leave; pins count in quotas."""

    name = "ruled"

    def __init__(self, others: Sequence[Reranker], k: int, width: int) -> None:
        """Lists have `k` places; the `width` best that quotas leave are given to `others`."""
        self._others = others
        self._k = k
        self._width = width

    def rerank(self, ranking: Ranking, users: UserBatch) -> Ranking:
        """Return an ordered ranking; of exactly `k` columns where something is pinned."""
        terms = users.terms
        if not (terms.pins or terms.quotas) or not ranking.items.shape[1]:
            return self._ordered(ranking, users)
        pins = pinned(ranking, terms, self._k)
        rest = without(ranking, pins.columns)
        if terms.quotas:
            rest = within(rest, terms.quotas, pins.items, self._width)
        return placed(self._ordered(rest, users), pins, self._k)

    def _ordered(self, ranking: Ranking, users: UserBatch) -> Ranking:
        for one in self._others:
            ranking = one.rerank(ranking, users)
        return ranking
