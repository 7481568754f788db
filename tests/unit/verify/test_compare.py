"""No order of arrival is a finding, and whatever is taken from a row or put into it is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stream_app.users.actions import PURCHASE
from stream_app.users.state import (
    EVENT_BYTES,
    HISTORY_LENGTH,
    SEEN_LENGTH,
    Outcome,
    SourceEvent,
    UserState,
    apply,
    seen_entry,
)
from stream_app.verify.case import Case
from stream_app.verify.compare import compare, compare_after_removal
from stream_app.verify.events import Event
from stream_app.verify.report import Kind

SOURCES = ("clicks/0", "purchases/0")


def history(dice: Random, size: int, ids: int) -> list[Event]:
    """Events of one user as they arrive: offsets grow per topic, times mostly do, ids repeat."""
    offsets = [-1, -1]
    timestamp_ms, events = 1_000, []
    for _ in range(size):
        source = dice.randrange(2)
        offsets[source] += dice.randint(1, 3)  # other users lie between
        timestamp_ms = max(0, timestamp_ms + dice.randint(-4, 8))
        taken = SourceEvent(
            dice.randrange(13),
            timestamp_ms,
            dice.randrange(6),
            1,
            SOURCES[source],
            offsets[source],
            f"event-{dice.randrange(ids)}" if ids and dice.random() < 0.7 else None,
        )
        events.append(Event(source, 0, 0, taken))
    return events


@st.composite
def two_orders(
    draw: st.DrawFn, most_ids: int = 80, most: int = 700
) -> tuple[list[Event], list[Event]]:
    """A history as it arrived at the worker, and as the checker merges it.

    Drawn from a seed: a choice per event would make an example cost a second.
    """
    dice = Random(draw(st.integers(0, 1 << 32)))
    size = draw(st.one_of(st.integers(1, 12), st.integers(1, most)))
    events = history(dice, size, draw(st.integers(0, most_ids)))
    queues = [[e for e in events if e.source == source] for source in (0, 1)]
    merged: list[Event] = []
    while queues[0] or queues[1]:
        queue = dice.choice([queue for queue in queues if queue])
        merged += [queue.pop(0) for _ in range(min(len(queue), dice.choice((1, 1, 5, 50))))]
    return events, merged


def row_of(events: Sequence[Event]) -> UserState:
    state = UserState()
    for event in events:
        state, _ = apply(state, event.applied)
    return state


def kinds(case: Case) -> set[Kind]:
    return {finding.kind for finding in compare(case)}


@given(two_orders())
def test_no_order_between_the_topics_is_a_finding(orders: tuple[list[Event], list[Event]]) -> None:
    arrived, merged = orders
    assert compare(Case(b"ann", row_of(arrived), merged)) == []


@given(two_orders(), st.integers(0, 219))
def test_hidden_beginnings_are_no_finding(
    orders: tuple[list[Event], list[Event]], hidden: int
) -> None:
    """Retention hides a beginning of each topic, wherever it cuts."""
    arrived, merged = orders
    first_visible = {0: hidden % 50, 1: hidden // 5}
    visible = [event for event in merged if event.offset >= first_visible[event.source]]
    case = Case(b"ann", row_of(arrived), visible, whole=False, begin_ms=1 << 62)
    assert compare(case) == []


@given(two_orders(), st.data())
def test_an_event_that_was_never_applied_is_found(
    orders: tuple[list[Event], list[Event]], data: st.DataObject
) -> None:
    arrived, merged = orders
    lost = data.draw(st.integers(0, len(arrived) - 1))
    kept = arrived[:lost] + arrived[lost + 1 :]
    row = row_of(kept)
    offsets = row_of(arrived).offsets  # the row says that it has passed everything
    found = compare(Case(b"ann", msgspec.structs.replace(row, offsets=offsets), merged))
    assert Kind.LOST in {finding.kind for finding in found}


@given(two_orders(most_ids=0, most=HISTORY_LENGTH + SEEN_LENGTH), st.data())
def test_a_lost_event_cannot_hide_behind_one_applied_twice(
    orders: tuple[list[Event], list[Event]], data: st.DataObject
) -> None:
    arrived, merged = orders
    assume(len(arrived) > 1)
    lost = data.draw(st.integers(0, len(arrived) - 1))
    twice = data.draw(st.integers(0, len(arrived) - 1))
    first, second = arrived[lost].applied, arrived[twice].applied
    assume(
        seen_entry(first.item, first.action == PURCHASE)
        != seen_entry(second.item, second.action == PURCHASE)
    )
    order = arrived[:lost] + arrived[lost + 1 :]
    state = UserState()
    for event in order:
        state, _ = apply(state, event.applied)
        if event is arrived[twice]:  # forget its offset, and it is applied again
            again = msgspec.structs.replace(state, offsets={})
            state, _ = apply(again, event.applied)
    row = msgspec.structs.replace(state, offsets=row_of(arrived).offsets)
    assert kinds(Case(b"ann", row, merged)) & {Kind.LOST, Kind.DUPLICATED}


@given(two_orders(most_ids=0), st.data())
def test_an_event_applied_twice_is_found(
    orders: tuple[list[Event], list[Event]], data: st.DataObject
) -> None:
    arrived, merged = orders
    twice = data.draw(st.integers(0, len(arrived) - 1))
    state = UserState()
    for at, event in enumerate(arrived):
        before = state
        state, _ = apply(state, event.applied)
        if at == twice:
            again = msgspec.structs.replace(state, offsets=before.offsets)
            state, outcome = apply(again, event.applied)
            assert outcome is not Outcome.REPLAYED
    assert Kind.DUPLICATED in kinds(Case(b"ann", state, merged))


@given(two_orders(most_ids=0), st.data())
def test_an_entry_cut_out_of_the_history_is_found(
    orders: tuple[list[Event], list[Event]], data: st.DataObject
) -> None:
    arrived, merged = orders
    row = row_of(arrived)
    at = data.draw(st.integers(0, len(row.history) // EVENT_BYTES - 1)) * EVENT_BYTES
    cut = row.history[:at] + row.history[at + EVENT_BYTES :]
    assert Kind.LOST in kinds(Case(b"ann", msgspec.structs.replace(row, history=cut), merged))


def clicks(*times: int, event_ids: Sequence[str | None] = ()) -> list[Event]:
    ids = event_ids or [None] * len(times)
    return [
        Event(0, 0, 0, SourceEvent(100 + at, ms, 2, 1, SOURCES[0], at, ids[at]))
        for at, ms in enumerate(times)
    ]


def swapped(row: UserState, first: int) -> UserState:
    cut = [row.history[at : at + EVENT_BYTES] for at in range(0, len(row.history), EVENT_BYTES)]
    cut[first], cut[first + 1] = cut[first + 1], cut[first]
    return msgspec.structs.replace(row, history=b"".join(cut))


def test_two_entries_out_of_order_in_time_are_found() -> None:
    events = clicks(1, 2, 3, 4)
    case = Case(b"ann", swapped(row_of(events), 1), events)
    assert kinds(case) == {Kind.MISORDERED}


def test_equal_times_of_one_topic_keep_its_order() -> None:
    events = clicks(1, 2, 2, 3)
    (found,) = compare(Case(b"ann", swapped(row_of(events), 1), events))
    assert (found.kind, found.place) == (Kind.MISORDERED, "clicks/0@2")


def test_a_lost_event_is_named() -> None:
    events = clicks(*range(1, 11))
    row = row_of(events[:4] + events[5:])
    (found,) = compare(Case(b"ann", row, events))
    assert (found.kind, found.place, found.user) == (Kind.LOST, "clicks/0@4", b"ann")


def test_a_dead_letter_that_was_applied_too_is_found() -> None:
    events = clicks(1, 2, 3)
    dead = replace(events[1], flags=1)
    (found,) = compare(Case(b"ann", row_of(events), [events[0], events[2]], [dead]))
    assert (found.kind, found.place) == (Kind.DUPLICATED, "clicks/0@1")


def test_an_id_applied_twice_within_the_window_is_found() -> None:
    events = clicks(1, 2, 3, event_ids=["a", "b", "a"])
    assert compare(Case(b"ann", row_of(events), events)) == []
    state = row_of(events[:2])
    ids = state.event_ids
    state, _ = apply(msgspec.structs.replace(state, event_ids=b""), events[2].applied)
    state = msgspec.structs.replace(state, event_ids=ids + state.event_ids)
    assert kinds(Case(b"ann", state, events)) == {Kind.DUPLICATED}


def test_events_that_have_left_the_history_are_counted() -> None:
    events = clicks(*range(1, HISTORY_LENGTH + 51))
    row = row_of(events[:10] + events[11:])
    (found,) = compare(Case(b"ann", row, events))
    assert (found.kind, found.count) == (Kind.LOST, 1)


@given(two_orders(most_ids=0, most=150), st.data())
def test_a_row_begun_after_a_removal_holds_the_newest_events(
    orders: tuple[list[Event], list[Event]], data: st.DataObject
) -> None:
    arrived, merged = orders
    removed = data.draw(st.integers(0, len(arrived) - 1))
    row = row_of(arrived[removed:])
    passed = [
        event for event in merged if event.offset <= row.offsets.get(event.applied.source, -1)
    ]
    assert compare_after_removal(Case(b"ann", row, passed)) == []


def test_a_row_begun_after_a_removal_that_lacks_an_event_is_found() -> None:
    events = clicks(*range(1, 31))
    row = row_of(events[10:20] + events[21:])
    found = compare_after_removal(Case(b"ann", row, events))
    assert found


@pytest.mark.parametrize(
    ("field", "value"), [("late", 7), ("last_timestamp_ms", 5), ("seen", b"\0\0\0\0")]
)
def test_bookkeeping_that_contradicts_the_events_is_found(field: str, value: object) -> None:
    events = clicks(1, 2, 3)
    row = msgspec.structs.replace(row_of(events), **{field: value})
    assert kinds(Case(b"ann", row, events)) == {Kind.ALTERED}


def test_a_row_that_claims_an_offset_of_another_user_is_found() -> None:
    events = clicks(1, 2, 3)
    row = msgspec.structs.replace(row_of(events), offsets={SOURCES[0]: 9})
    assert kinds(Case(b"ann", row, events)) == {Kind.ALTERED}
