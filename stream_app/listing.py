"""Makes lists for a batch of users, each as treatments say: after events, and for requests."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from schemas import MAX_K, RankedItem, RuleTrace
from stream_app.catalog import Catalog
from stream_app.degradations import Degradation, degraded
from stream_app.filter_names import looked_at
from stream_app.profiles import Profiles
from stream_app.ranking import (
    Evidence,
    Pipeline,
    Pipelines,
    SeenIndex,
    Tally,
    UserBatch,
    user_batch,
)
from stream_app.ranking.batch import Indices
from stream_app.ranking.rerankers.explore import seeds_of
from stream_app.rules import touched, traces
from stream_app.treatments import Asking, Treatment, Treatments

LENGTHS = (20, 50, MAX_K)
"""Lists for requests are made in these lengths and cut, so that few pipelines are needed."""


QUERY_UNREAD = "the query could not be read: the worker has no text encoder, or it failed"


class Basis(NamedTuple):
    """What a list was made from."""

    treatment: Treatment
    pipeline: Pipeline
    evidence: Evidence
    causes: Indices
    """Catalogue positions of what led to each candidate, -1 for none, `[n]`."""


class Made(NamedTuple):
    """A list, and how it came about."""

    items: tuple[RankedItem, ...]
    treatment: Treatment
    length: int
    """Of the lists of its pipeline."""
    basis: Basis | None = None
    """What it was made from, where that was to be kept."""
    rules: tuple[RuleTrace, ...] = ()


class Lists:
    """Use from the thread of the recommender."""

    def __init__(
        self,
        catalog: Catalog,
        pipelines: Pipelines,
        treatments: Treatments,
        seen: SeenIndex,
        profiles: Profiles,
        k: int,
        tally: Tally | None = None,
    ) -> None:
        """`k` is the length of lists after events; `tally` counts what becomes of them."""
        self._catalog = catalog
        self._pipelines = pipelines
        self._treatments = treatments
        self._seen = seen
        self._profiles = profiles
        self._k = k
        self._tally = tally
        self._lengths = sorted({k, *LENGTHS})

    def make(
        self,
        asking: Sequence[Asking],
        now_ms: int,
        stages: dict[str, float],
        excluded: Sequence[Sequence[str]] = (),
        kept: Collection[int] = (),
    ) -> list[Made]:
        """A list for each, of the time `now_ms` (Unix ms); adds processor seconds to `stages`.

        `excluded` has for each the ids of items that must not be in the list; empty: none. For the
        places in `kept`, what the list is made from is kept.
        """
        began = time.thread_time()
        states = [one.state for one in asking]
        # A list after events is of the time of its newest event, whenever it is made.
        at_ms = now_ms if any(one.request for one in asking) else 0
        groups = self._treatments.groups(asking, now_ms)
        within = looked_at(frozenset(treatment.plan.filters for treatment, _ in groups))
        users = user_batch(states, self._catalog, self._seen, excluded, at_ms, within)
        if self._pipelines.draw and all(one.rec_id for one in asking):
            users = replace(users, seeds=seeds_of([one.rec_id for one in asking]))
        queried = self._profiles.ask([one.request.query if one.request else None for one in asking])
        users = self._profiles.bring(users, states, queried)
        stages["rank"] = stages.get("rank", 0.0) + time.thread_time() - began
        made: dict[int, Made] = {}
        for treatment, members in groups:
            for (k, keep), places in self._alike(asking, members, kept).items():
                group = users if len(places) == len(asking) else users.only(np.array(places))
                if treatment.terms is not group.terms:
                    group = replace(group, terms=treatment.terms)
                lengths = [request.k if (request := asking[place].request) else k
                           for place in places]  # fmt: skip
                lists = self._ranked(group, treatment, k, lengths, stages, keep, now_ms)
                made.update(zip(places, lists, strict=True))
        unread = queried.unread if queried is not None else ()
        degraded(Degradation.QUERY_UNREAD, len(unread))
        for place in unread:
            treatment = made[place].treatment
            notes = "; ".join(filter(None, (QUERY_UNREAD, treatment.degraded)))
            made[place] = made[place]._replace(treatment=treatment._replace(degraded=notes))
        return [made[place] for place in range(len(asking))]

    def _alike(
        self, asking: Sequence[Asking], members: list[int], kept: Collection[int]
    ) -> dict[tuple[int, bool], list[int]]:
        """Places by the length of the shortest lists that are long enough, and whether to keep."""
        places: dict[tuple[int, bool], list[int]] = {}
        for place in members:
            request = asking[place].request
            wanted = self._k if request is None else request.k
            k = next((length for length in self._lengths if length >= wanted), wanted)
            places.setdefault((k, place in kept), []).append(place)
        return places

    def _ranked(
        self,
        users: UserBatch,
        treatment: Treatment,
        k: int,
        lengths: Sequence[int],
        stages: dict[str, float],
        keep: bool,
        now_ms: int,
    ) -> list[Made]:
        """Lists of `k` items, cut to their `lengths`."""
        pipeline, builder = self._pipelines.get(treatment.plan, k)
        kept: list[Evidence] | None = [] if keep else None
        tally = self._tally
        ranked = pipeline.rank(users, stages, kept, tally.funnel if tally else None)
        began = time.thread_time()
        lists = builder.build(ranked, users)
        bases: Sequence[Basis | None] = [None] * len(users)
        if kept is not None:
            bases = [
                Basis(
                    treatment,
                    pipeline,
                    one,
                    builder.causes(users.rows(row, row + 1), one.items[None, :])[0],
                )
                for row, one in enumerate(kept)
            ]
        rules: Sequence[tuple[RuleTrace, ...]] = [()] * len(lists)
        if treatment.rules:
            size = len(self._catalog)
            masks = touched(treatment.rules, treatment.terms, ranked.items, lengths, size)
            rules = traces(treatment.rules, masks)
            for rule, mask in zip(treatment.rules, masks, strict=True):
                rule.count(mask)
        if tally is not None:
            tally.lists(ranked, lengths, pipeline, now_ms)
        if treatment.degraded:
            degraded(Degradation.NOT_AS_ASKED, len(lists))
        made = [
            Made(items[:length], treatment, k, basis, done)
            for items, length, basis, done in zip(lists, lengths, bases, rules, strict=True)
        ]
        stages["build"] = stages.get("build", 0.0) + time.thread_time() - began
        return made
