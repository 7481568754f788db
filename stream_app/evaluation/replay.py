"""The replay protocol: a stream in time order, every list judged by the same user's next event.

After each event every method learns it and makes a list for its user; when that user's next event
comes, the list is judged before anything learns from that event. Nothing is predicted from the
future, and no method sees more than the others. Users' pasts and counts are loaded first, from the
events before the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Protocol

import msgspec

from schemas.messages import Click, Purchase, Recommendation
from stream_app.datasets import EventTable
from stream_app.evaluation.baselines import DAY_MS, Baseline, DecayedPopularity
from stream_app.evaluation.scoreboard import Scoreboard
from stream_app.recommender import Recommender, SourceMessage
from stream_app.users.ids import item_hash
from stream_app.users.state import SourceEvent, UserState, apply

K = 10
HALF_LIVES_DAYS = (1, 3, 7, 14, 30, 90, 180, 365, 730, 1460)
STREAM = "replay"

Event = Click | Purchase


class Lists(Protocol):
    """A method under test."""

    def learn(self, event: Event) -> None:
        """Learn from an event whose list nobody asks for."""

    def observe(self, event: Event) -> list[str]:
        """Learn from an event and return the item ids of the fresh list for its user."""


class BaselineLists:
    """A baseline as a method under test, warmed on the events before the stream.

    With `scored`, only these users may be recommended to, and others cost no memory.
    """

    def __init__(
        self, baseline: Baseline, past: EventTable, k: int = K, scored: Set[str] | None = None
    ) -> None:
        if scored is not None:
            baseline.remember_only(scored)
        self._baseline = baseline
        self._k = k
        for event in past.messages():
            baseline.observe(event.user_id, event.item_id, event.timestamp_ms)

    def learn(self, event: Event) -> None:
        self._baseline.observe(event.user_id, event.item_id, event.timestamp_ms)

    def observe(self, event: Event) -> list[str]:
        self.learn(event)
        return self._baseline.recommend(event.user_id, self._k)


class RecommenderLists:
    """The real recommender as a method under test, with the rows of returning users."""

    def __init__(self, recommender: Recommender, rows: Mapping[str, UserState]) -> None:
        self._recommender = recommender
        self._rows = dict(rows)
        self._waiting: list[SourceMessage] = []
        self._offset = 0

    def learn(self, event: Event) -> None:
        self._waiting.append(SourceMessage(event, STREAM, 0, self._offset))
        self._offset += 1

    def observe(self, event: Event) -> list[str]:
        self.learn(event)
        # What nobody asked a list for goes in the same batch, before the event: the lists are
        # those of one event at a time.
        made = {one.user_id: one for one in self.settle()}
        return [item.item_id for item in made[event.user_id].items]

    def settle(self) -> list[Recommendation]:
        """Process the events that wait; a list for each of their users."""
        if not self._waiting:
            return []
        users = {message.message.user_id for message in self._waiting}
        states = {user: self._rows.get(user) for user in users}
        processed = self._recommender.process(self._waiting, states)
        self._waiting = []
        self._rows.update(processed.states)
        return processed.recommendations


def past_rows(past: EventTable) -> dict[str, UserState]:
    """The rows that the events `past` leave behind, without a recurrent state.

    The recommender replays a row's ring at the user's next event. The rows remember no offsets:
    the past is not part of any topic.
    """
    hashes = [item_hash(item_id) for item_id in past.item_ids]
    rows: dict[str, UserState] = {}
    for at, (user, item) in enumerate(zip(past.users.tolist(), past.items.tolist(), strict=True)):
        user_id = past.user_ids[user]
        event = SourceEvent(
            hashes[item], int(past.timestamps_ms[at]), int(past.actions[at]), 1, STREAM, at
        )
        rows[user_id], _ = apply(rows.get(user_id, UserState()), event)
    return {user_id: msgspec.structs.replace(row, offsets={}) for user_id, row in rows.items()}


def predictions(
    stream: EventTable,
    methods: Mapping[str, Lists],
    *,
    scored: Set[str] | None = None,
    on_event: Callable[[int], None] = lambda _: None,
) -> Iterator[tuple[int, Mapping[str, Sequence[str]]]]:
    """Run every method over `stream`; yield, by position of the event, the lists it is to judge.

    They were made after its user's event before, and nothing has learned from it yet. With
    `scored`, only these users' lists are made, though every event is learned: an honest sample at
    a part of the cost. `on_event` is told the number of events done.
    """
    pending: dict[str, dict[str, Sequence[str]]] = {}
    for at, event in enumerate(stream.messages()):
        user_id = event.user_id
        if (lists := pending.get(user_id)) is not None:
            yield at, lists
        if scored is None or user_id in scored:
            pending[user_id] = {name: method.observe(event) for name, method in methods.items()}
        else:
            for method in methods.values():
                method.learn(event)
        on_event(at + 1)


def replay(
    stream: EventTable,
    methods: Mapping[str, Lists],
    returning: Set[str],
    *,
    scored: Set[str] | None = None,
    on_event: Callable[[int], None] = lambda _: None,
) -> dict[str, Scoreboard]:
    """Score the `predictions` of every method; `returning` names the users with a past."""
    boards = {name: Scoreboard.empty() for name in methods}
    for at, lists in predictions(stream, methods, scored=scored, on_event=on_event):
        event = stream.message(at)
        for name, items in lists.items():
            boards[name].add(items, event.item_id, returning=event.user_id in returning)
    return boards


def users_of(table: EventTable) -> frozenset[str]:
    """The ids of the users with an event in `table`."""
    return frozenset(table.user_ids[user] for user in set(table.users.tolist()))


def tune_half_life(
    past: EventTable,
    stream: EventTable,
    *,
    days: Sequence[float] = HALF_LIVES_DAYS,
    scored: Set[str] | None = None,
) -> float:
    """The half-life in ms at which decayed popularity does best on `stream`, warmed on `past`."""
    methods = {
        str(day): BaselineLists(DecayedPopularity(day * DAY_MS), past, scored=scored)
        for day in days
    }
    boards = replay(stream, methods, frozenset(), scored=scored)
    return float(max(boards, key=lambda name: boards[name].all.hits)) * DAY_MS
