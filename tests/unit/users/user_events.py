"""Random users: events as two source topics deliver them, with repeats and late ones."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from stream_app.users import Outcome, SourceEvent, UserState, apply

SOURCES = ("clicks/0", "purchases/0")


@st.composite
def event_sequences(draw: st.DrawFn, max_size: int = 150) -> list[SourceEvent]:
    """Events of one user in the order read: offsets grow per topic, times mostly do, ids repeat."""
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(SOURCES),
                st.integers(1, 3),  # step of the offset: other users lie between
                st.integers(0, 12),  # item
                st.integers(-4, 8),  # step of the event time
                st.integers(0, 5),  # action
                st.one_of(st.none(), st.integers(0, 40)),  # event id
            ),
            max_size=max_size,
        )
    )
    offsets = dict.fromkeys(SOURCES, -1)
    timestamp_ms, events = 1_000, []
    for source, step, item, gap, action, event_id in rows:
        offsets[source] += step
        timestamp_ms = max(0, timestamp_ms + gap)
        name = None if event_id is None else f"event-{event_id}"
        events.append(SourceEvent(item, timestamp_ms, action, 1, source, offsets[source], name))
    return events


def apply_all(state: UserState, events: Iterable[SourceEvent]) -> tuple[UserState, list[Outcome]]:
    outcomes = []
    for event in events:
        state, outcome = apply(state, event)
        outcomes.append(outcome)
    return state, outcomes
