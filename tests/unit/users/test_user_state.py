"""What a user's row promises, whatever the order, the repeats and the batches of the stream."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from user_events import apply_all, event_sequences

from stream_app.users import (
    EVENT_DTYPE,
    HISTORY_LENGTH,
    Outcome,
    SourceEvent,
    UserState,
    apply,
    decode_state,
    encode_state,
    events_of,
)
from stream_app.users.actions import PURCHASE
from stream_app.users.state import EVENT_IDS, MAX_SOURCES, SEEN_DTYPE, SEEN_LENGTH, seen_entry

ENCODED = UserState(hidden=b"\1" * 512, vector=b"\2" * 128, release="shop@1")


def event(timestamp_ms: int, offset: int, item: int = 1, **fields: object) -> SourceEvent:
    return SourceEvent(item, timestamp_ms, 2, 1, "clicks/0", offset, **fields)  # type: ignore[arg-type]


def full_ring() -> UserState:
    state, _ = apply_all(ENCODED, [event(1_000 + n, n) for n in range(HISTORY_LENGTH)])
    return state


@given(event_sequences(), st.lists(st.integers(0, 150)))
def test_any_split_into_batches_gives_the_same_state(
    events: list[SourceEvent], cuts: list[int]
) -> None:
    whole, _ = apply_all(UserState(), events)
    state = UserState()
    edges = [0, *sorted(cuts), len(events)]
    for start, end in pairwise(edges):
        state = decode_state(encode_state(state))  # the row is written after each batch
        state, _ = apply_all(state, events[start:end])
    assert state == whole


@given(event_sequences(), st.data())
def test_any_replayed_suffix_gives_the_same_state(
    events: list[SourceEvent], data: st.DataObject
) -> None:
    crash = data.draw(st.integers(0, len(events)), label="rows written up to")
    committed = data.draw(st.integers(0, crash), label="offsets committed up to")
    whole, _ = apply_all(UserState(), events)
    before, _ = apply_all(UserState(), events[:crash])
    again, outcomes = apply_all(before, events[committed:crash])
    assert again is before
    assert set(outcomes) <= {Outcome.REPLAYED}
    after, _ = apply_all(again, events[crash:])
    assert after == whole


@given(event_sequences())
def test_history_is_the_newest_events_by_event_time_in_stable_order(
    events: list[SourceEvent],
) -> None:
    state, outcomes = apply_all(UserState(), events)
    ring: list[SourceEvent] = []
    for one, outcome in zip(events, outcomes, strict=True):
        if outcome not in (Outcome.REPLAYED, Outcome.DUPLICATE):
            ring = sorted([*ring, one], key=lambda e: e.timestamp_ms)[-HISTORY_LENGTH:]
    expected = [(e.item, e.timestamp_ms, e.action, e.weight) for e in ring]
    assert events_of(state.history).tolist() == expected
    assert state.last_timestamp_ms == (ring[-1].timestamp_ms if ring else 0)


@given(event_sequences())
def test_every_event_is_counted_once_under_its_outcome(events: list[SourceEvent]) -> None:
    state, outcomes = apply_all(UserState(), events)
    counts = Counter(outcomes)
    assert counts[Outcome.REPLAYED] == 0
    assert state.duplicates == counts[Outcome.DUPLICATE]
    assert state.late == counts[Outcome.LATE] + counts[Outcome.TOO_LATE]
    assert state.events == counts[Outcome.APPLIED] + state.late
    assert state.offsets == {e.source: e.offset for e in events}


@given(event_sequences())
def test_an_event_id_at_a_second_offset_is_applied_once(events: list[SourceEvent]) -> None:
    _, outcomes = apply_all(UserState(), events)
    recent: list[str] = []
    for one, outcome in zip(events, outcomes, strict=True):
        assert (outcome is Outcome.DUPLICATE) == (one.event_id in recent)
        if one.event_id is not None and outcome is not Outcome.DUPLICATE:
            recent = [*recent, one.event_id][-EVENT_IDS:]


@given(event_sequences(max_size=400), st.integers(0, 30))
def test_a_row_is_bounded_whatever_the_user_does(events: list[SourceEvent], spread: int) -> None:
    state = ENCODED
    for number, one in enumerate(events):
        moved = SourceEvent(
            one.item,
            one.timestamp_ms,
            one.action,
            one.weight,
            f"clicks/{number % (spread + 1)}",
            number,
            f"event-{number}",
        )
        state, _ = apply(state, moved)
    assert len(events_of(state.history)) <= HISTORY_LENGTH
    assert len(state.event_ids) <= EVENT_IDS * 8
    assert len(state.offsets) <= MAX_SOURCES
    assert len(state.seen) <= SEEN_LENGTH * SEEN_DTYPE.itemsize
    blobs = HISTORY_LENGTH * EVENT_DTYPE.itemsize + SEEN_LENGTH * 4 + EVENT_IDS * 8 + 512 + 128
    assert len(encode_state(state)) <= blobs + 512  # keys, counters and offsets


@given(event_sequences(max_size=300))
def test_items_that_leave_the_ring_are_remembered_the_last_ones_longest(
    events: list[SourceEvent],
) -> None:
    state, ring, left = UserState(), [], []
    for one in events:
        state, outcome = apply(state, one)
        if outcome in (Outcome.REPLAYED, Outcome.DUPLICATE):
            continue
        ring = sorted([*ring, one], key=lambda e: e.timestamp_ms)
        for gone in ring[:-HISTORY_LENGTH]:
            left = [*left, seen_entry(gone.item, gone.action == PURCHASE)][-SEEN_LENGTH:]
        ring = ring[-HISTORY_LENGTH:]
    assert np.frombuffer(state.seen, SEEN_DTYPE).tolist() == left


def test_seen_items_are_bounded_and_the_oldest_are_forgotten() -> None:
    count = HISTORY_LENGTH + SEEN_LENGTH + 50
    state, _ = apply_all(UserState(), [event(n, n, item=2 * n) for n in range(count)])
    entries = np.frombuffer(state.seen, SEEN_DTYPE)
    assert len(entries) == SEEN_LENGTH
    assert entries[[0, -1]].tolist() == [2 * 50, 2 * (count - HISTORY_LENGTH - 1)]


def test_an_event_takes_eighteen_bytes() -> None:
    assert EVENT_DTYPE.itemsize == 18
    state, _ = apply(UserState(), SourceEvent(2**64 - 1, 2**40, 5, 255, "purchases/3", 7))
    assert len(state.history) == 18
    assert events_of(state.history).tolist() == [(2**64 - 1, 2**40, 5, 255)]


def test_an_applied_event_keeps_the_recurrent_state_for_the_next_step() -> None:
    state, outcome = apply(ENCODED, event(5, 0))
    assert outcome is Outcome.APPLIED
    assert (state.hidden, state.vector, state.release) == (
        ENCODED.hidden,
        ENCODED.vector,
        ENCODED.release,
    )


def test_a_late_event_empties_the_recurrent_state_so_that_the_ring_is_replayed() -> None:
    state, outcome = apply(full_ring(), event(1_010, 100, item=9))
    assert outcome is Outcome.LATE
    assert (state.hidden, state.vector, state.release) == (b"", b"", "")
    items = events_of(state.history)["item"]
    assert len(items) == HISTORY_LENGTH
    assert int(np.flatnonzero(items == 9)[0]) == 10  # after its equal in time; the oldest fell out


def test_an_event_older_than_all_of_a_full_ring_is_counted_and_not_kept() -> None:
    ring = full_ring()
    state, outcome = apply(ring, event(999, 100))
    assert outcome is Outcome.TOO_LATE
    assert (state.history, state.release) == (ring.history, ring.release)
    assert np.frombuffer(state.seen, SEEN_DTYPE).tolist() == [seen_entry(1, False)]
    assert (state.late, state.offsets) == (1, {"clicks/0": 100})


def test_equal_event_times_keep_the_order_of_arrival() -> None:
    state, outcomes = apply_all(UserState(), [event(5, n, item=n) for n in range(4)])
    assert set(outcomes) == {Outcome.APPLIED}
    assert events_of(state.history)["item"].tolist() == [0, 1, 2, 3]


def test_the_state_given_to_apply_is_not_changed() -> None:
    state, _ = apply(UserState(), event(5, 0))
    offsets = dict(state.offsets)
    apply(state, event(6, 1))
    assert state.offsets == offsets
