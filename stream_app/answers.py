"""Lists that are asked for: the row of a user as it is, with what the request says, ranked.

Nothing is written: the seed items of a request are applied to a copy of the row.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from schemas.messages import RecommendationRequest
from stream_app.advance import Advancer, UserUpdate
from stream_app.listing import Lists, Made
from stream_app.profiles import Profiles
from stream_app.treatments import Asking
from stream_app.users.actions import action_code
from stream_app.users.ids import item_hash, list_id
from stream_app.users.state import SourceEvent, UserState

SEED = "seed"
"""Source of the events that seed items are taken as."""


class Asked(NamedTuple):
    """A request and where it was read."""

    request: RecommendationRequest
    topic: str
    partition: int
    offset: int


class Answer(NamedTuple):
    """A list for a request."""

    asking: Asking
    """The user, with the seed items in the row."""
    made: Made
    broken: bool
    """The encoder gave a vector that is not finite; it is made without it."""


class Answers:
    """Makes lists for requests with the parts of a recommender; use from its thread."""

    def __init__(self, advancer: Advancer, profiles: Profiles, lists: Lists) -> None:
        self._advancer = advancer
        self._profiles = profiles
        self._lists = lists

    def make(
        self,
        asked: Sequence[Asked],
        states: Mapping[str, UserState | None],
        now_ms: int,
        stages: dict[str, float],
        kept: Collection[int] = (),
    ) -> list[Answer]:
        """An answer for each request, from the row of its user; None is a user never seen.

        Adds processor seconds to `stages`. `kept` is as in `Lists.make`.
        """
        began = time.thread_time()
        updates = [self._update(one.request, states.get(one.request.user_id), now_ms)
                   for one in asked]  # fmt: skip
        self._advancer.advance(updates)
        self._profiles.read(updates)
        stages["encode"] = stages.get("encode", 0.0) + time.thread_time() - began
        asking = [
            Asking(one.request.user_id, update.state, one.request, _list_id(one))
            for one, update in zip(asked, updates, strict=True)
        ]
        # Whatever filters are on, what a list is made from is not recommended back.
        excluded = [(*one.request.exclude, *one.request.seed_items) for one in asked]
        made = self._lists.make(asking, now_ms, stages, excluded, kept)
        return [
            Answer(of, one, update.broken)
            for of, one, update in zip(asking, made, updates, strict=True)
        ]

    def _update(
        self, request: RecommendationRequest, state: UserState | None, now_ms: int
    ) -> UserUpdate:
        """The row with the seed items as clicks after everything else."""
        update = self._advancer.begin(state)
        at_ms = max(now_ms, update.state.last_timestamp_ms)
        for place, item in enumerate(request.seed_items):
            update.take(SourceEvent(item_hash(item), at_ms, action_code("click"), 1, SEED, place))
        return update


def _list_id(asked: Asked) -> str:
    return list_id(asked.request.user_id, asked.topic, asked.partition, asked.offset)
