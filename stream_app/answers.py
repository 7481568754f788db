"""Lists that are asked for: the row of a user as it is, with what the request says, ranked.

Nothing is written: the seed items of a request are applied to a copy of the row.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.messages import RankedItem, RecommendationRequest
from stream_app.advance import Advancer, UserUpdate
from stream_app.bundle import Bundle
from stream_app.objectives import Objectives
from stream_app.ranking import (
    DEFAULT_FILTERS,
    NEXT_EVENT,
    ListBuilder,
    LiveStores,
    Pipeline,
    SeenIndex,
    build_pipeline,
    user_batch,
)
from stream_app.users.actions import action_code
from stream_app.users.ids import item_hash
from stream_app.users.state import SourceEvent, UserState

LENGTHS = (20, 50, 200)
"""Lists are made in these lengths and cut: a pipeline for each, the longest for `MAX_K` items."""
SEED = "seed"
"""Source of the events that seed items are taken as."""


class Asked(NamedTuple):
    """A request and where it was read."""

    request: RecommendationRequest
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a list is made of."""

    items: tuple[RankedItem, ...]
    broken: bool
    """The encoder gave a vector that is not finite; it is made without it."""


class Answers:
    """Makes lists for requests with the parts of a recommender; use from its thread."""

    def __init__(
        self,
        bundle: Bundle,
        live: LiveStores,
        seen: SeenIndex,
        advancer: Advancer,
        lists: ListBuilder,
        usual: Pipeline,
        filters: Sequence[str] = DEFAULT_FILTERS,
        objectives: Objectives = NEXT_EVENT,
    ) -> None:
        """`usual` is the pipeline of lists after events: requests that it is long enough for use
        it, and the others share its scratch memory.
        """
        self._bundle = bundle
        self._live = live
        self._seen = seen
        self._advancer = advancer
        self._lists = lists
        self._filters = filters
        self._objectives = objectives
        self._usual = usual
        self._pipelines: dict[int, Pipeline] = {usual.k: usual}

    def make(
        self,
        asked: Sequence[Asked],
        states: Mapping[str, UserState | None],
        now_ms: int,
        stages: dict[str, float],
    ) -> list[Answer]:
        """An answer for each request, from the row of its user; None is a user never seen.

        Adds processor seconds to `stages`.
        """
        began = time.thread_time()
        updates = [self._update(one.request, states.get(one.request.user_id), now_ms)
                   for one in asked]  # fmt: skip
        self._advancer.advance(updates)
        stages["encode"] = stages.get("encode", 0.0) + time.thread_time() - began
        made: dict[int, Answer] = {}
        for k, places in self._by_length(asked).items():
            self._rank(k, places, asked, updates, now_ms, made, stages)
        return [made[place] for place in range(len(asked))]

    def _update(
        self, request: RecommendationRequest, state: UserState | None, now_ms: int
    ) -> UserUpdate:
        """The row with the seed items as clicks after everything else."""
        update = self._advancer.begin(state)
        at_ms = max(now_ms, update.state.last_timestamp_ms)
        for place, item in enumerate(request.seed_items):
            update.take(SourceEvent(item_hash(item), at_ms, action_code("click"), 1, SEED, place))
        return update

    def _by_length(self, asked: Sequence[Asked]) -> dict[int, list[int]]:
        """Places of requests by the length of the shortest lists that are long enough."""
        lengths = sorted({self._usual.k, *LENGTHS})
        places: dict[int, list[int]] = {}
        for place, one in enumerate(asked):
            k = next(length for length in lengths if length >= one.request.k)
            places.setdefault(k, []).append(place)
        return places

    def _rank(
        self,
        k: int,
        places: list[int],
        asked: Sequence[Asked],
        updates: Sequence[UserUpdate],
        now_ms: int,
        made: dict[int, Answer],
        stages: dict[str, float],
    ) -> None:
        began = time.thread_time()
        users = user_batch(
            [updates[place].state for place in places],
            self._bundle.catalog,
            self._seen,
            [_excluded(asked[place].request) for place in places],
            now_ms,
        )
        stages["rank"] = stages.get("rank", 0.0) + time.thread_time() - began
        ranked = self._pipeline(k).rank(users, stages)
        began = time.thread_time()
        for place, items in zip(places, self._lists.build(ranked, users), strict=True):
            made[place] = Answer(items[: asked[place].request.k], updates[place].broken)
        stages["build"] = stages.get("build", 0.0) + time.thread_time() - began

    def _pipeline(self, k: int) -> Pipeline:
        if k not in self._pipelines:
            self._pipelines[k] = build_pipeline(
                self._bundle,
                self._live,
                k=k,
                filters=self._filters,
                objectives=self._objectives,
                grid=self._usual.grid,
            )
        return self._pipelines[k]


def _excluded(request: RecommendationRequest) -> Sequence[str]:
    """Whatever filters are on, what a list is made from is not recommended back."""
    return (*request.exclude, *request.seed_items)
