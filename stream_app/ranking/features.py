"""What a learned ranker is told: features of candidates and users, as whole arrays.

Training collects them from the same pipeline that serves, so there is no second way to compute
them. What depends on who proposed an item, or on the other candidates, is no feature: the score of
an item for a user is the same whichever list it is for, and can be explained by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.bundle.ranker import FRESHNESS, TEXT_SIMILARITY, Features, RankerSpec
from stream_app.catalog import Catalog, ItemTable
from stream_app.ranking.batch import FIRST_MARK, NONE, Floats, Indices, Past, Rows, UserBatch
from stream_app.ranking.candidates import Pool
from stream_app.ranking.live.first_seen import FirstSeen
from stream_app.ranking.live.trends import TrendStore
from stream_app.ranking.stages import Scorer
from stream_app.ranking.text_parts import TextParts

_NOT_SAID = np.iinfo(np.int64).min
_NO_OTHER = np.iinfo(np.int64).max
_MS_PER_SECOND = 1000.0


@dataclass(frozen=True, slots=True)
class Known:
    """Where features are looked up; what is None is unknown of every item."""

    catalog: Catalog
    trends: TrendStore
    scorers: Mapping[str, Scorer]
    """Those whose score is a feature, by its name."""
    table: ItemTable | None = None
    first_seen: FirstSeen | None = None
    texts: TextParts | None = None


class FeatureMaker:
    """Makes the features that a ranker names; use from one thread at a time."""

    def __init__(self, spec: RankerSpec, known: Known) -> None:
        self._spec = spec
        self._known = known
        self._own: dict[str, Callable[[Pool], Floats]] = {
            TEXT_SIMILARITY: self._text_similarity,
            FRESHNESS: self._freshness,
            "price": self._price,
        }
        self._of_users: dict[str, Callable[[UserBatch], Floats]] = {
            "events": _events,
            "gap": _gaps,
            "mainstream": self._mainstream,
        }

    def of(self, pool: Pool) -> Features:
        """Features of all candidates, and of their users."""
        spec = self._spec
        candidates = np.empty((*pool.items.shape, len(spec.features)), np.float32)
        for place, name in enumerate(spec.features):
            if (scorer := self._known.scorers.get(name)) is not None:
                candidates[:, :, place] = scorer.score(pool)
            elif (own := self._own.get(name)) is not None:
                candidates[:, :, place] = own(pool)
        self._similarities(pool, candidates)
        users = np.empty((len(pool.users), len(spec.user_features)), np.float32)
        for place, name in enumerate(spec.user_features):
            users[:, place] = self._of_users[name](pool.users)
        return Features(candidates, users, pool.items, pool.open)

    def _similarities(self, pool: Pool, candidates: Floats) -> None:
        """Cosine with the last item, and the mean cosine with the last ones: vectors of candidates
        are gathered once for both.
        """
        names = [one for one in ("similarity", "recent similarity") if one in self._spec.features]
        if not names:
            return
        recent = self._known.catalog.vectors_of(pool.users.recent)
        wanted = {"similarity": recent[:, 0], "recent similarity": _mean_vectors(recent)}
        queries = np.stack([wanted[name] for name in names], 2)
        places = [self._spec.features.index(name) for name in names]
        for columns, proposal in pool.columns():
            vectors = self._known.catalog.vectors_of(proposal.items)
            candidates[:, columns, places] = np.matmul(vectors, queries)

    def _text_similarity(self, pool: Pool) -> Floats:
        """Mean cosine of the text with those of the last items; NaN where one side has none."""
        if self._known.texts is None:
            return np.full(pool.items.shape, np.nan, np.float32)
        recent = _mean_vectors(self._known.texts.vectors_of(pool.users.recent))[:, :, None]
        cosines = np.empty(pool.items.shape, np.float32)
        for columns, proposal in pool.columns():
            vectors = self._known.texts.vectors_of(proposal.items)
            cosines[:, columns] = np.matmul(vectors, recent)[:, :, 0]
        cosines[cosines == 0] = np.nan
        return cosines

    def _freshness(self, pool: Pool) -> Floats:
        """Log of 1 and the days since the item is on offer, or had its first event."""
        if self._known.first_seen is None:
            return np.full(pool.items.shape, np.nan, np.float32)
        listed = np.full(pool.items.shape, _NOT_SAID)
        if self._known.table is not None:
            said = self._known.table.from_ms.take(pool.items, mode="clip")
            np.copyto(listed, said, where=pool.items != NONE)
        return self._known.first_seen.log_age(pool.items, listed)

    def _price(self, pool: Pool) -> Floats:
        """How far the log of the price is from the mean of those of the last items."""
        usual = _mean(self._log_prices(pool.users.recent))[:, None]
        distance: Floats = np.abs(self._log_prices(pool.items) - usual)
        return distance

    def _log_prices(self, items: Indices) -> Floats:
        logs = np.full(items.shape, np.nan, np.float32)
        if self._known.table is not None and len(self._known.table.price):
            prices = self._known.table.price.take(items, mode="clip")
            np.log(prices, out=logs, where=(prices > 0) & (items != NONE))
        return logs

    def _mainstream(self, users: UserBatch) -> Floats:
        """Mean log share of the present activity of the last items."""
        shares = self._known.trends.log_share(users.recent)
        return _mean(np.where(users.recent != NONE, shares, np.float32(np.nan)))


def _mean(values: Floats) -> Floats:
    """Means `[R]` of the known ones of values `[R, m]`; NaN where none is known."""
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    sums = np.where(known, values, np.float32(0)).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)


def _mean_vectors(vectors: Floats) -> Floats:
    """Means `[R, d]` of vectors `[R, m, d]`, of which those of zeros are none."""
    counts = np.maximum(vectors.any(axis=2).sum(axis=1), 1).astype(np.float32)
    means: Floats = vectors.sum(axis=1) / counts[:, None]
    return means


def _done(past: Past) -> tuple[Rows, NDArray[np.int64]]:
    """Rows and ages of what users did, without what they were only shown."""
    did = past.actions < FIRST_MARK
    return (past.rows, past.ages_ms) if did.all() else (past.rows[did], past.ages_ms[did])


def _events(users: UserBatch) -> Floats:
    """Log of 1 and the number of events that the row remembers."""
    rows, _ = _done(users.past)
    return np.log1p(np.bincount(rows, minlength=len(users))).astype(np.float32)


def _gaps(users: UserBatch) -> Floats:
    """Log of 1 and the seconds from the newest event back to the one before, at another time."""
    gaps = np.full(len(users), np.nan, np.float32)
    rows, ages_ms = _done(users.past)
    counts = np.bincount(rows, minlength=len(users))
    held = np.flatnonzero(counts)
    if len(held):
        starts = (np.cumsum(counts) - counts)[held]
        newest = np.minimum.reduceat(ages_ms, starts)
        further = ages_ms - newest.repeat(counts[held])
        further[further == 0] = _NO_OTHER
        before = np.minimum.reduceat(further, starts)
        logs = np.log1p(before / _MS_PER_SECOND)
        gaps[held] = np.where(before == _NO_OTHER, np.nan, logs)
    return gaps
