"""Why an item is in a list: the cheap reason for every list, the parts of a score on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream_app.ranking.batch import NONE, Floats, Indices, UserBatch
from stream_app.ranking.candidates import Pool, Proposal
from stream_app.ranking.grid import Grid
from stream_app.ranking.live.transitions import TransitionStore
from stream_app.ranking.pipeline import Pipeline, Weighted
from stream_app.ranking.scorers.learned import Learned
from stream_app.ranking.stages import Scorer, Source
from stream_app.ranking.terms import Terms

UNAVAILABLE = "unavailable"
NOT_ALLOWED = "not allowed"


def led_to(users: UserBatch, items: Indices, store: TransitionStore, recent: int) -> Indices:
    """The newest of each user's last `recent` items that others left for the item, `[R, k]`.

    Takes ranked `items` `[R, k]`; -1 where none of the last items leads to it.
    """
    last = users.recent[:, :recent]
    successors, _ = store.successors_of(last)
    causes = np.full(items.shape, NONE, np.int32)
    for place in reversed(range(last.shape[1])):  # the newest is written last
        leads = (successors[:, place, None, :] == items[:, :, None]).any(axis=2)
        np.copyto(causes, last[:, place, None], where=leads & (items != NONE))
    return causes


def part_names(scorers: Sequence[Weighted]) -> list[str]:
    """What a score is made of: the names of the scorers, and the features of a learned one."""
    return [name for one in scorers for name in _parts_of(one)]


def _parts_of(one: Weighted) -> tuple[str, ...]:
    return one.scorer.parts if isinstance(one.scorer, Learned) else (one.scorer.name,)


def score_parts(
    scorers: Sequence[Weighted], users: UserBatch, items: Indices, catalog_size: int
) -> Floats:
    """What each part adds to the score of each of `items` `[m]` for each user: `[P, R, m]`, nats.

    Parts are in the order of `part_names`, and add up to the score. Whether a source proposes the
    item, or a filter forbids it, does not matter.
    """
    grid = Grid()
    at_once = grid.rows_at_once(catalog_size)
    parts = np.zeros((len(part_names(scorers)), len(users), len(items)), np.float32)
    for first in range(0, len(users), at_once):
        chunk = users.rows(first, first + at_once)
        grid.fit(len(chunk), catalog_size)
        shared = items[None, :]
        cells = grid.cells(shared)
        pool = Pool(
            chunk,
            grid,
            [Proposal(shared)],
            np.broadcast_to(shared, cells.shape),
            cells,
            np.ones(cells.shape, np.bool_),
        )
        rows, stop = slice(first, first + len(chunk)), 0
        for one in scorers:
            start, stop = stop, stop + len(_parts_of(one))
            if one.weight:
                parts[start:stop, rows] = _scored(one.scorer, pool) * np.float32(one.weight)
    return parts


def with_terms(parts: Floats, terms: Terms, items: Indices) -> Floats:
    """Parts `[S, m]` of the scores of `items` `[m]`, and as one more what the terms add, if any."""
    if terms.boosts is None:
        return parts
    return np.concatenate([parts, terms.boosts.take(items)[None, :]])


def _scored(scorer: Scorer, pool: Pool) -> Floats:
    return scorer.score_parts(pool) if isinstance(scorer, Learned) else scorer.score(pool)[None]


def forbidding(pipeline: Pipeline, user: UserBatch, items: Indices) -> dict[str, set[int]]:
    """Which of `items` `[m]` each filter forbids to the one user, by the name of the filter.

    What the catalogue forbids to all, delisted or not available now, is under `UNAVAILABLE`; what
    the user's terms forbid, under `NOT_ALLOWED`. Items are catalogue positions.
    """
    closed = _closed(pipeline, user, items)
    return {name: set(items[mask].tolist()) for name, mask in closed.items()}


def _closed(pipeline: Pipeline, user: UserBatch, items: Indices) -> dict[str, NDArray[np.bool_]]:
    """`forbidding` as masks over `items` `[m]`: most of a large catalogue may be forbidden."""
    stages = pipeline.stages
    found = {one.name: np.isin(items, one.forbidden(user)[1]) for one in stages.filters}
    masks = {UNAVAILABLE: stages.catalog.available, NOT_ALLOWED: user.terms.allowed}
    return found | {name: ~mask.take(items) for name, mask in masks.items() if mask is not None}


@dataclass(frozen=True, slots=True)
class Considered:
    """The `n` permitted candidates of one user, the highest score first."""

    items: Indices
    """`[n]`."""
    scores: Floats
    """`[n]`, before any reranker."""
    means: Floats
    """The mean of each part of the scores over them, `[P]`; zeros where there is none."""

    def place_of(self, item: int, score: float) -> int:
        """The place of an item among them, or the one that its score would give it; 1 is first."""
        # By position: the same score, computed with other items beside it, rounds differently.
        at = np.flatnonzero(self.items == item)
        return 1 + int(at[0] if len(at) else np.count_nonzero(self.scores > score))


def considered(pipeline: Pipeline, user: UserBatch, catalog_size: int) -> Considered:
    """What the list of the one user was chosen from."""
    stages = pipeline.stages
    items = _permitted(pipeline, stages.sources, user)
    if len(items) < pipeline.k:
        items = _permitted(pipeline, (*stages.sources, stages.last_resort), user)
    parts = score_parts(stages.scorers, user, items, catalog_size)[:, 0]
    parts = with_terms(parts, user.terms, items)
    scores = parts.sum(axis=0)
    order = np.argsort(-scores, kind="stable")
    means = parts.mean(axis=1) if len(items) else np.zeros(len(parts), np.float32)
    return Considered(items[order], scores[order], means)


def proposed(pipeline: Pipeline, user: UserBatch) -> Indices:
    """What sources propose to the one user and filters permit, were everything allowed, `[n]`."""
    free = replace(user, terms=replace(user.terms, allowed=None))
    return _permitted(pipeline, pipeline.stages.sources, free)


def proposing(pipeline: Pipeline, user: UserBatch, item: int) -> tuple[str, ...]:
    """Names of the sources that propose an item to the one user, the last resort left out."""
    return tuple(
        source.name for source in pipeline.stages.sources if item in _proposed([source], user)
    )


def _permitted(pipeline: Pipeline, sources: Sequence[Source], user: UserBatch) -> Indices:
    items = _proposed(sources, user)
    closed = np.zeros(len(items), np.bool_)
    for mask in _closed(pipeline, user, items).values():
        closed |= mask
    return items[~closed]


def _proposed(sources: Sequence[Source], user: UserBatch) -> NDArray[np.int32]:
    """Different catalogue positions that sources propose to the one user, `[n]`."""
    rows = [one.items[0] for source in sources for one in source.propose(user)]
    return np.setdiff1d(np.concatenate([*rows, np.zeros(0, np.int32)]), [NONE]).astype(np.int32)
