"""The pipeline: sources propose, filters forbid, scorers weigh, rerankers decide.

It owns what the stages share: chunks of users, scratch memory, timing, and the promise that a
list is full while enough permitted items exist.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.ranking.batch import NONE, Floats, Indices, UserBatch
from stream_app.ranking.candidates import Pool, Proposal, Ranking
from stream_app.ranking.funnel import NOT_ALLOWED, UNAVAILABLE, Funnel
from stream_app.ranking.grid import Cells, Grid
from stream_app.ranking.stages import Filter, Reranker, Scorer, Source

# Two bytes a cell of the grid: fifteen sources, and the bit of the filters.
FORBIDDEN = np.uint16(0x8000)
PROPOSED = np.uint16(0x7FFF)
MAX_SOURCES = 15
TERMS = "terms"
"""Beside the names of scorers: what the terms of the batch added."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A scorer and how much its score counts."""

    weight: float
    scorer: Scorer

    @property
    def idle(self) -> bool:
        """Whether the scorer has nothing to say at present."""
        return bool(getattr(self.scorer, "idle", False))

    @property
    def counts(self) -> bool:
        """Whether it changes any score."""
        return bool(self.weight) and not self.idle


class Evidence(NamedTuple):
    """What the list of one user is made from: the `n` candidates that nothing keeps out."""

    scorers: tuple[str, ...]
    """Names of those that took part; `TERMS` for what the terms added."""
    items: Indices
    """Catalogue positions `[n]`, in the order in which the sources proposed them."""
    proposed: NDArray[np.uint16]
    """Which sources proposed the item, as `Ranked.sources`, `[n]`."""
    parts: Floats
    """What each scorer added to the score `[S, n]`, in nats."""


class Stages(NamedTuple):
    """What a pipeline is put together from, for whoever wants to know why a list is as it is."""

    sources: tuple[Source, ...]
    last_resort: Source
    filters: Sequence[Filter]
    scorers: Sequence[Weighted]
    catalog: Catalog


class Ranked(NamedTuple):
    """Lists of `R` users."""

    items: Indices
    """Catalogue positions `[R, k]`, best first; -1 where the catalogue had no more."""
    scores: Floats
    """`[R, k]`."""
    sources: NDArray[np.uint16]
    """Which sources proposed the item, `[R, k]`: bit `i` is `Pipeline.sources[i]`."""
    propensities: NDArray[np.float64]
    """With which probability the item came to its place `[R, k]`; NaN where nothing was drawn."""


class Pipeline:
    """Ranks items for batches of users; use from one thread at a time."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        sources: Sequence[Source],
        last_resort: Source,
        filters: Sequence[Filter],
        scorers: Sequence[Weighted],
        rerankers: Sequence[Reranker],
        k: int,
        grid: Grid | None = None,
    ) -> None:
        """`last_resort` is asked only for users whom `sources` left short of `k` items."""
        if k < 1:
            raise ValueError(f"k={k}: ask for at least one item")
        self._catalog = catalog
        self._regular = len(sources)
        self.sources = (*sources, last_resort)
        if len(self.sources) > MAX_SOURCES:
            raise ValueError(f"{len(self.sources)} sources; at most {MAX_SOURCES} are possible")
        self._filters = filters
        self._scorers = scorers
        self._rerankers = rerankers
        self.k = k
        self.grid = grid or Grid()

    @property
    def stages(self) -> Stages:
        """Its stages; rerankers, which decide by what the others say, are not among them."""
        return Stages(
            self.sources[: self._regular],
            self.sources[-1],
            self._filters,
            [one for one in self._scorers if not one.idle],
            self._catalog,
        )

    def rank(
        self,
        users: UserBatch,
        seconds: dict[str, float],
        kept: list[Evidence] | None = None,
        funnel: Funnel | None = None,
    ) -> Ranked:
        """Rank for one or more users; adds the time of sources and of the rest to `seconds`.

        With `kept`, what each list was made from is appended there, in the order of the users. What
        became of candidates is counted in `funnel` when it is due; those of users who were left
        short count twice.
        """
        if funnel is not None and not funnel.is_due():
            funnel = None
        began = time.thread_time()
        retrieved = seconds.setdefault("retrieve", 0.0)
        most = self.grid.rows_at_once(len(self._catalog))
        rows = -(-len(users) // -(-len(users) // most))  # in chunks of about the same size
        try:
            chunks = [
                self._full(users.rows(start, start + rows), seconds, kept, funnel)
                for start in range(0, len(users), rows)
            ]
        except BaseException:
            self.grid.reset()
            raise
        elapsed = time.thread_time() - began
        seconds["rank"] = seconds.get("rank", 0.0) + elapsed - (seconds["retrieve"] - retrieved)
        return Ranked(*map(np.concatenate, zip(*chunks, strict=True)))

    def _full(
        self,
        users: UserBatch,
        seconds: dict[str, float],
        kept: list[Evidence] | None,
        funnel: Funnel | None,
    ) -> Ranked:
        """Rank a chunk, and once more with the last resort for users left short."""
        evidence: list[Evidence] | None = None if kept is None else []
        ranked = self._ranked(users, self.sources[: self._regular], seconds, evidence, funnel)
        short = np.flatnonzero(ranked.items[:, -1] == NONE)
        if len(short):
            more: list[Evidence] | None = None if kept is None else []
            again = self._ranked(users.only(short), self.sources, seconds, more, funnel)
            if evidence and more:
                for row, one in zip(short.tolist(), more, strict=True):
                    evidence[row] = one
            ranked.items[short] = again.items
            ranked.scores[short] = again.scores
            ranked.sources[short] = again.sources
            ranked.propensities[short] = again.propensities
        if kept is not None and evidence is not None:
            kept += evidence
        return ranked

    def _ranked(
        self,
        users: UserBatch,
        sources: Sequence[Source],
        seconds: dict[str, float],
        kept: list[Evidence] | None,
        funnel: Funnel | None,
    ) -> Ranked:
        self.grid.fit(len(users), len(self._catalog))
        forbidden = self._forbid(users)
        began = time.thread_time()
        proposals = [source.propose(users) for source in sources]
        seconds["retrieve"] += time.thread_time() - began
        pool = self._pool(users, proposals, funnel)
        parts: list[Floats] = []
        ranking = Ranking(pool.items, self._score(pool, None if kept is None else parts))
        if kept is not None:
            kept += self._evidence(pool, parts)
        for reranker in self._rerankers:
            ranking = reranker.rerank(ranking, users)
        ranked = self._cut(ranking)
        if funnel is not None:
            funnel.propose([one.name for one in sources], proposals, pool)
            self._count_forbidden(funnel, forbidden)
        self.grid.marks[pool.cells] = 0
        for cells in forbidden:
            self.grid.marks[cells] = 0
        return ranked

    def _forbid(self, users: UserBatch) -> list[Cells]:
        """Mark what no source may bring in, and the cells of "no item"."""
        forbidden = [self.grid.pairs(*one.forbidden(users)) for one in self._filters]
        forbidden.append(self.grid.nowhere())
        for cells in forbidden:
            self.grid.marks[cells] = FORBIDDEN
        return forbidden

    def _count_forbidden(self, funnel: Funnel, forbidden: list[Cells]) -> None:
        *by_filter, nowhere = forbidden
        self.grid.marks[nowhere] = FORBIDDEN  # where sources proposed "no item"
        for one, cells in zip(self._filters, by_filter, strict=True):
            met = cells[(self.grid.marks.take(cells) & PROPOSED) != 0]
            met.sort()  # a history may hold an item twice
            funnel.keep_out(one.name, int(np.count_nonzero(np.diff(met))) + bool(len(met)))

    def _pool(
        self, users: UserBatch, proposals: list[list[Proposal]], funnel: Funnel | None
    ) -> Pool:
        """Lay the proposals side by side; the first to propose an item keeps it open."""
        flat = [proposal for of_source in proposals for proposal in of_source]
        shape = (len(users), sum(proposal.items.shape[1] for proposal in flat))
        pool = Pool(
            users,
            self.grid,
            flat,
            np.empty(shape, np.int32),
            np.empty(shape, np.int64),
            np.empty(shape, np.bool_),
        )
        bits = [np.uint16(1 << bit) for bit, some in enumerate(proposals) for _ in some]
        for bit, (columns, proposal) in zip(bits, pool.columns(), strict=True):
            cells = self.grid.cells(proposal.items)
            before = self.grid.marks.take(cells)
            self.grid.marks[cells] = before | bit
            pool.items[:, columns] = proposal.items
            pool.cells[:, columns] = cells
            pool.open[:, columns] = before == 0
        # These masks forbid to all alike.
        masks = {UNAVAILABLE: self._catalog.available, NOT_ALLOWED: users.terms.allowed}
        left = 0 if funnel is None else int(np.count_nonzero(pool.open))
        for name, mask in masks.items():
            if mask is None:
                continue
            for columns, proposal in pool.columns():
                pool.open[:, columns] &= mask.take(proposal.items)
            if funnel is not None:
                before_mask, left = left, int(np.count_nonzero(pool.open))
                funnel.keep_out(name, before_mask - left)
        if funnel is not None:
            funnel.weigh(left)
        return pool

    def _score(self, pool: Pool, parts: list[Floats] | None) -> Floats:
        """The sum of all scores; what each scorer and the terms add goes into `parts`."""
        scores = np.zeros(pool.items.shape, np.float32)
        for one in self._scorers:
            if not one.counts:  # nothing times a score that is not finite is not nothing
                continue
            part = one.scorer.score(pool) * np.float32(one.weight)
            scores += part
            if parts is not None:
                parts.append(part)
        if pool.users.terms.boosts is not None:
            part = pool.users.terms.boosts.take(pool.items)
            scores += part
            if parts is not None:
                parts.append(part)
        scores[~pool.open] = -np.inf
        return scores

    def _evidence(self, pool: Pool, parts: list[Floats]) -> Iterator[Evidence]:
        """What the list of each user will be made from."""
        names = [one.scorer.name for one in self._scorers if one.counts]
        if len(parts) > len(names):
            names.append(TERMS)
        marks = self.grid.marks.take(pool.cells)
        for row, held in enumerate(pool.open):
            scores = [part[row, held] for part in parts]
            stacked = np.stack(scores) if scores else np.zeros((0, int(held.sum())), np.float32)
            yield Evidence(tuple(names), pool.items[row, held], marks[row, held], stacked)

    def _cut(self, ranking: Ranking) -> Ranked:
        """The first `k` columns, with the sources of each item."""
        items = np.full((len(ranking.items), self.k), NONE, np.int32)
        scores = np.full(items.shape, -np.inf, np.float32)
        count = min(self.k, ranking.items.shape[1])
        items[:, :count] = ranking.items[:, :count]
        scores[:, :count] = ranking.scores[:, :count]
        marks = self.grid.marks.take(self.grid.cells(items))
        marks[items == NONE] = 0
        propensities = np.full(items.shape, np.nan)
        if ranking.propensities is not None:
            propensities[:, :count] = ranking.propensities[:, :count]
        return Ranked(items, scores, marks, propensities)
