"""Gives new arrivals a share of the lists, and says with which probability each place was drawn.

Scores are made of what was learned, and of a new item nothing was. So in a share of the lists one
place of the lower half goes to an arrival, drawn at random. With the probability of each draw
the lists can be judged as if another policy had made them (inverse propensity scoring: Bottou et
al. 2013, Counterfactual Reasoning and Learning Systems).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_app.ranking.batch import NONE, Floats, Indices, UserBatch
from stream_app.ranking.candidates import Ranking
from stream_app.ranking.stages import Reranker
from stream_app.ranking.terms import Terms

UNIFORM = 0.5
"""Part of the draws in which all arrivals are as likely, so that no propensity is tiny; in the
others they are drawn by score (softmax)."""

Uniforms = NDArray[np.float64]


class Newest(Protocol):
    """What can be drawn: `stream_app.ranking.live.arrivals.Arrivals`."""

    newest: Indices
    """Catalogue positions, the last to join first."""

    def tried(self, items: Indices) -> None:
        """They have been put into lists."""


class Explore:
    """Orders with other rerankers, then may replace one item by an arrival.

    Pinned places and the upper half of the list stay, and so does every list while there are no
    arrivals. The randomness is the seed of the list: made again, it is the same list.
    """

    name = "explore"

    def __init__(
        self,
        arrivals: Newest,
        most: int,
        share: float,
        k: int,
        rerankers: Sequence[Reranker],
    ) -> None:
        """`share` of the lists of `k` items get one of the `most` newest arrivals, after
        `rerankers` have ordered them.
        """
        self._arrivals = arrivals
        self._most = most
        self._share = share
        self._k = k
        self._rerankers = rerankers

    def rerank(self, ranking: Ranking, users: UserBatch) -> Ranking:
        """Return the ranking in order, with the propensity of every place of lists with a draw."""
        ordered = ranking
        for one in self._rerankers:
            ordered = one.rerank(ordered, users)
        nothing_new = not len(self._arrivals.newest[: self._most])
        if users.seeds is None or not self._share or nothing_new:
            return ordered
        places = self._places(users.terms, ordered.items.shape[1])
        if not len(places):
            return ordered
        return self._draw(ranking, ordered, users.terms, places, users.seeds)

    def _places(self, terms: Terms, columns: int) -> NDArray[np.int64]:
        """Places from 0 that can go to an arrival."""
        if columns < self._k:  # fewer candidates than places: whatever is new is in the list
            return np.zeros(0, np.int64)
        pinned: set[int] = set()
        for place, *_ in terms.pins:  # of two that want the same place one gets the next
            while place in pinned:
                place += 1
            pinned.add(place)
        return np.setdiff1d(np.arange((self._k + 1) // 2, self._k), list(pinned))

    def _draw(
        self,
        pool: Ranking,
        ordered: Ranking,
        terms: Terms,
        places: NDArray[np.int64],
        seeds: NDArray[np.uint64],
    ) -> Ranking:
        items, chances = self._chances(pool, ordered, terms)
        possible = (chances.sum(axis=1) > 0) & (ordered.items[:, self._k - 1] != NONE)
        if not possible.any():
            return ordered
        drawn = np.flatnonzero(possible & (uniform(seeds, 1) < self._share))
        at = places[(uniform(seeds[drawn], 2) * len(places)).astype(np.int64)]
        sums = np.cumsum(chances[drawn], axis=1)
        aim = np.minimum(uniform(seeds[drawn], 3) * sums[:, -1], np.nextafter(sums[:, -1], 0))
        chosen = (sums <= aim[:, None]).sum(axis=1)
        each = self._share / len(places)
        propensities = np.full(ordered.items.shape, np.nan)
        propensities[possible] = 1.0
        propensities[np.ix_(possible, places)] = 1.0 - each
        propensities[drawn, at] = each * chances[drawn, chosen]
        new_items, new_scores = ordered.items.copy(), ordered.scores.copy()
        columns = items[chosen]
        new_items[drawn, at] = pool.items[drawn, columns]
        new_scores[drawn, at] = pool.scores[drawn, columns]
        self._arrivals.tried(new_items[drawn, at])
        return Ranking(new_items, new_scores, propensities)

    def _chances(
        self, pool: Ranking, ordered: Ranking, terms: Terms
    ) -> tuple[NDArray[np.int64], Uniforms]:
        """Columns of `pool` with arrivals `[W]`, and the probability of each for a row `[R, W]`.

        A row of zeros has none that can be drawn: they are forbidden, or in the list already.
        """
        newest = self._arrivals.newest[: self._most]
        new = np.isin(pool.items, newest) & (pool.scores > -np.inf)
        columns = np.flatnonzero(new.any(axis=0))
        items, new = pool.items[:, columns], new[:, columns]
        listed = ordered.items[:, : self._k]
        new &= ~(items[:, :, None] == listed[:, None, :]).any(axis=2)
        for quota in terms.quotas:  # one more could be more than the quota
            new &= ~quota.items.take(items)
        return columns, _mixed(pool.scores[:, columns], new)


def _mixed(scores: Floats, new: NDArray[np.bool_]) -> Uniforms:
    """Probabilities `[R, W]` of the columns that are `new`: partly equal, partly by score."""
    count = new.sum(axis=1, keepdims=True)
    highest = np.where(new, scores, -np.inf).max(axis=1, keepdims=True, initial=-1e30)
    likely = np.where(new, np.exp(np.where(new, scores - highest, 0.0).astype(np.float64)), 0.0)
    by_score = likely / np.maximum(likely.sum(axis=1, keepdims=True), 1e-300)
    return np.where(new, UNIFORM / np.maximum(count, 1) + (1 - UNIFORM) * by_score, 0.0)


def seeds_of(rec_ids: Sequence[str]) -> NDArray[np.uint64]:
    """The first 8 bytes of the id of each list: the same list again is the same draw."""
    return np.array([int(rec_id[:16], 16) for rec_id in rec_ids], np.uint64)


def uniform(seeds: NDArray[np.uint64], stream: int) -> Uniforms:
    """Numbers in [0, 1) `[n]` that follow from seeds, others for every `stream` (SplitMix64)."""
    mixed = seeds + np.uint64(stream * 0x9E37_79B9_7F4A_7C15 & 0xFFFF_FFFF_FFFF_FFFF)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D0_49BB_1331_11EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
