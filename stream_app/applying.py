"""The part of a batch that changes rows: events and profiles in, updates out.

The live counts learn from what is new on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stream_app.advance import Advancer, UserUpdate
from stream_app.catalog import Catalog
from stream_app.ranking import LiveStores
from stream_app.ranking.live import caps
from stream_app.source_messages import (
    ProfileMessage,
    SourceMessage,
    profile_change,
    source_event,
)
from stream_app.users.state import (
    Outcome,
    SourceEvent,
    UserState,
    events_of,
    newest_events,
)

# Taken into the history, or too old for it: it happened either way.
NEW = frozenset({Outcome.APPLIED, Outcome.LATE, Outcome.TOO_LATE})

States = Mapping[str, UserState | None]


class Applier:
    """Use from the thread of the recommender."""

    def __init__(self, advancer: Advancer, catalog: Catalog, live: LiveStores, lags: int) -> None:
        """`lags` are the events before one from which the transition counts learn."""
        self._advancer = advancer
        self._catalog = catalog
        self._live = live
        self._lags = lags

    def apply(
        self, messages: Sequence[SourceMessage], states: States
    ) -> tuple[dict[str, UserUpdate], list[Outcome]]:
        """Bring events into the rows, and let the live counts learn from the new ones."""
        updates: dict[str, UserUpdate] = {}
        outcomes: list[Outcome] = []
        events: list[SourceEvent] = []
        previous: list[bytes] = []
        learned: list[bool] = []
        trending: list[bool] = []
        for source in messages:
            user_id = source.message.user_id
            update = updates.get(user_id)
            if update is None:
                update = updates[user_id] = self._advancer.begin(states.get(user_id))
            event = source_event(source)
            before = update.state
            outcome = update.take(event)
            outcomes.append(outcome)
            events.append(event)
            applied = outcome is Outcome.APPLIED
            previous.append(newest_events(before.history if applied else b"", self._lags))
            learned.append(outcome in NEW and caps.is_new(before, event))
            trending.append(learned[-1] and not caps.in_burst(before, event))
        self._learn(messages, events, previous, learned, trending)
        return updates, outcomes

    def introduce(
        self,
        profiles: Sequence[ProfileMessage],
        states: States,
        updates: dict[str, UserUpdate],
    ) -> list[Outcome]:
        """Bring profiles into the rows; a user for whom that changes nothing is not updated."""
        outcomes = []
        for source in profiles:
            user_id = source.user_id
            update = updates.get(user_id) or self._advancer.begin(states.get(user_id))
            outcomes.append(update.take_profile(profile_change(source)))
            if outcomes[-1] is not Outcome.UNCHANGED:
                updates[user_id] = update
        return outcomes

    def _learn(
        self,
        messages: Sequence[SourceMessage],
        events: list[SourceEvent],
        previous: list[bytes],
        learned: list[bool],
        trending: list[bool],
    ) -> None:
        """Teach the live stores what is no repetition; `trending` of it, the trends as well."""
        catalog = self._catalog
        items = catalog.lookup(np.array([event.item for event in events], np.uint64))
        chosen, trends = np.array(learned, np.bool_), np.array(trending, np.bool_)
        for place in np.flatnonzero(trends & (items < 0)).tolist():
            items[place] = catalog.index_or_add(messages[place].message.item_id)
        pasts = np.ascontiguousarray(events_of(b"".join(previous))["item"])
        before = catalog.lookup(pasts).reshape(len(events), self._lags)[:, ::-1]
        times = np.array([event.timestamp_ms for event in events], np.int64)
        partitions = np.array([source.partition for source in messages], np.int64)
        self._live.learn(
            len(catalog),
            before[chosen],
            items[chosen],
            times[chosen],
            trends[chosen],
            partitions[chosen],
        )
