"""What a ranker learns from: pools of candidates, and which of them the user's next event was on.

They are made by the real recommender on a replay of events that its release has not seen
(`stream_app.evaluation.replay`): a list is made after each event, judged by the same user's next
one, and nothing has learned from that one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas import Item
from stream_app.bundle import Bundle, RankingWeights
from stream_app.bundle.ranker import (
    FEATURES,
    USER_FEATURES,
    Features,
    RankerItems,
    RankerSpec,
)
from stream_app.datasets import EventTable
from stream_app.evaluation.replay import Event, RecommenderLists, predictions
from stream_app.recommender import Recommender
from stream_app.users.state import UserState

Floats = NDArray[np.float32]
SUMMED = ("affinity", "transition", "popularity")
"""The features of the weighted sum, in the order of its weights."""


@dataclass(frozen=True)
class Pools:
    """`n` pools end to end, oldest first, each of the candidates that were open."""

    candidates: Floats
    """`[T, F]` the features of all candidates."""
    starts: NDArray[np.int64]
    """`[n + 1]` where each pool begins, and the end of the last."""
    users: Floats
    """`[n, U]`."""
    targets: NDArray[np.int64]
    """`[n]` place in its pool of the item that the next event was on."""
    sums: Floats
    """`[T]` what the weighted sum gives."""
    weights: tuple[float, float, float]
    """Those of the weighted sum, of the features in `SUMMED`."""
    missed: int
    """Lists whose next item was not among the candidates: no ranker can find it."""

    def __len__(self) -> int:
        return len(self.targets)

    def padded(self, chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where the candidates of some pools are `[m, C]`, and which of these are any."""
        lengths = self.starts[chosen + 1] - self.starts[chosen]
        columns = np.arange(int(lengths.max()))
        held = columns < lengths[:, None]
        return np.where(held, self.starts[chosen][:, None] + columns, 0), held

    def keep(self, features: list[int], user_features: list[int]) -> Pools:
        """The same with some of the features, by their places."""
        return replace(
            self,
            candidates=np.ascontiguousarray(self.candidates[:, features]),
            users=np.ascontiguousarray(self.users[:, user_features]),
        )


class Recorder:
    """A ranker that orders by the weighted sum, and keeps what it was told of the last pool."""

    spec = RankerSpec(kind="linear", features=FEATURES, user_features=USER_FEATURES)

    def __init__(self, weights: RankingWeights) -> None:
        self._weights = np.array(
            [weights.personal, weights.transition, weights.trending], np.float32
        )
        self._summed = [FEATURES.index(name) for name in SUMMED]
        self.last: Features
        self.sums: Floats

    def score(self, features: Features) -> Floats:
        """As the weighted sum would."""
        self.last = features
        self.sums = features.candidates[:, :, self._summed] @ self._weights
        return self.sums


class _Pool(NamedTuple):
    candidates: Floats
    users: Floats
    items: NDArray[np.int32]
    sums: Floats


class _EventTime:
    """A clock that shows the time of the newest event."""

    def __init__(self) -> None:
        self.now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


class _RecordedLists(RecommenderLists):
    """Lists of a recommender with `recorder` for its ranker, and the newest pool of each user."""

    def __init__(
        self,
        recommender: Recommender,
        recorder: Recorder,
        clock: _EventTime,
        rows: Mapping[str, UserState],
    ) -> None:
        super().__init__(recommender, rows)
        self._recorder = recorder
        self._clock = clock
        self.pools: dict[str, _Pool] = {}

    def observe(self, event: Event) -> list[str]:
        self._clock.now_ms = event.timestamp_ms
        self.settle()  # so that the recorder is told of this user last, and alone
        made = super().observe(event)
        last = self._recorder.last
        held = last.open[0]
        self.pools[event.user_id] = _Pool(
            last.candidates[0][held],
            last.users[0],
            last.items[0][held],
            self._recorder.sums[0][held],
        )
        return made


def collect_pools(
    bundle: Bundle,
    items: RankerItems,
    rows: Mapping[str, UserState],
    stream: EventTable,
    scored: Set[str],
    listed: Sequence[Item] = (),
) -> Pools:
    """Replay `stream` through `bundle`, and return the pools of users in `scored` that hold the
    item of the user's next event.

    `items` is what features ask about the items of the bundle; `rows` are what the events before
    the stream leave behind; `listed` is what producers say of items, from the start.
    """
    weights = bundle.manifest.ranking
    recorder = Recorder(weights)
    clock = _EventTime()  # items are on offer, and young, as they were then
    recommender = Recommender(replace(bundle, ranker=recorder, ranker_items=items), clock=clock)
    recommender.catalogue.apply([(item.item_id, item) for item in listed])
    lists = _RecordedLists(recommender, recorder, clock, rows)
    catalog = recommender.bundle.catalog
    kept: list[tuple[_Pool, int]] = []
    missed = 0
    for at, _ in predictions(stream, {"": lists}, scored=scored):
        event = stream.message(at)
        pool = lists.pools[event.user_id]
        found = np.flatnonzero(pool.items == catalog.index_of(event.item_id))
        if len(found):
            kept.append((pool, int(found[0])))
        else:
            missed += 1
    lengths = [len(pool.items) for pool, _ in kept]
    nothing = _Pool(
        np.zeros((0, len(FEATURES)), np.float32),
        np.zeros(len(USER_FEATURES), np.float32),
        np.zeros(0, np.int32),
        np.zeros(0, np.float32),
    )
    return Pools(
        candidates=np.concatenate([nothing.candidates, *(pool.candidates for pool, _ in kept)]),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        users=np.array([pool.users for pool, _ in kept], np.float32).reshape(
            -1, len(USER_FEATURES)
        ),
        targets=np.array([target for _, target in kept], np.int64),
        sums=np.concatenate([nothing.sums, *(pool.sums for pool, _ in kept)]),
        weights=(weights.personal, weights.transition, weights.trending),
        missed=missed,
    )
