"""What a row knows of impressions and of lists, whatever the order, the repeats and the batches."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from user_events import apply_all, event_sequences

from stream_app.users import Outcome, SourceEvent, UserState, apply, decode_state, encode_state
from stream_app.users.shown import (
    SHOWN_DTYPE,
    SHOWN_LENGTH,
    SourceImpression,
    apply_impression,
    before_last_list,
    with_list,
)

SOURCE = "impressions/0"
Step = SourceEvent | SourceImpression


@st.composite
def impressions(draw: st.DrawFn) -> list[SourceImpression]:
    """Impressions of one user in the order read, more than the ring holds now and then."""
    seed, count = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 70))
    random = np.random.default_rng(seed)
    offset, made = -1, []
    for _ in range(count):
        offset += int(random.integers(1, 4))
        items = tuple(random.integers(0, 2**63, random.integers(1, 25)).tolist())
        made.append(SourceImpression(items, int(random.integers(0, 10**12)), SOURCE, offset))
    return made


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[list[Step], list[Step]]:
    """The same events and impressions in two orders, each topic in its own."""
    events, shown = draw(event_sequences(max_size=60)), draw(impressions())
    orders: list[list[Step]] = []
    for _ in range(2):
        random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        left: list[list[Step]] = [list(events), list(shown)]
        order: list[Step] = []
        while any(left):
            order.append((left[random.integers(0, 2)] or left[0] or left[1]).pop(0))
        orders.append(order)
    return orders[0], orders[1]


def take(state: UserState, steps: list[Step]) -> tuple[UserState, list[Outcome]]:
    outcomes = []
    for step in steps:
        if isinstance(step, SourceImpression):
            state, outcome = apply_impression(state, step)
        else:
            state, outcome = apply(state, step)
        outcomes.append(outcome)
    return state, outcomes


def entries(ring: bytes) -> list[tuple[int, int]]:
    return np.frombuffer(ring, SHOWN_DTYPE).tolist()


@given(impressions())
def test_the_ring_holds_the_last_items_in_the_order_of_their_topic(
    shown: list[SourceImpression],
) -> None:
    state, outcomes = take(UserState(), list(shown))
    everything = [(i % 2**32, one.timestamp_ms // 1000) for one in shown for i in one.items]
    assert entries(state.shown) == everything[-SHOWN_LENGTH:]
    assert set(outcomes) <= {Outcome.APPLIED}
    assert state.offsets == ({SOURCE: shown[-1].offset} if shown else {})
    assert (state.events, state.history, state.last_timestamp_ms) == (0, b"", 0)


@given(mixtures())
def test_impressions_and_events_change_the_same_row_in_any_order(
    orders: tuple[list[Step], list[Step]],
) -> None:
    one, other = (take(UserState(), order)[0] for order in orders)
    assert one == other


@given(mixtures(), st.data())
def test_any_replayed_suffix_gives_the_same_row(
    orders: tuple[list[Step], list[Step]], data: st.DataObject
) -> None:
    steps, _ = orders
    crash = data.draw(st.integers(0, len(steps)), label="rows written up to")
    committed = data.draw(st.integers(0, crash), label="offsets committed up to")
    before = decode_state(encode_state(take(UserState(), steps[:crash])[0]))
    again, outcomes = take(before, steps[committed:crash])
    assert again is before
    assert set(outcomes) <= {Outcome.REPLAYED}
    assert take(again, steps[crash:])[0] == take(UserState(), steps)[0]


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=30), min_size=1, max_size=30))
def test_a_list_is_remembered_and_can_be_taken_back(made: list[list[int]]) -> None:
    state = UserState(last_timestamp_ms=7_999)
    for items in made:
        before, state = state, with_list(state, items)
        if sum(map(len, made)) <= SHOWN_LENGTH:
            assert before_last_list(state).served == (before.served if items else state.served)
        assert state.last_list == len(items)
    assert decode_state(encode_state(state)) == state
    newest_first = [(item % 2**32, 7) for items in reversed(made) for item in items]
    assert entries(state.served)[::-1] == newest_first[:SHOWN_LENGTH]


def test_a_list_longer_than_the_ring_is_remembered_by_its_best() -> None:
    state = with_list(UserState(), range(500))
    assert state.last_list == SHOWN_LENGTH
    assert [item for item, _ in entries(state.served)] == list(range(399, -1, -1))
    assert before_last_list(state).served == b""


def test_a_time_after_the_year_2106_is_held_to_be_of_then() -> None:
    last = SourceImpression((1,), 253_402_300_799_999, SOURCE, 0)
    state, _ = apply_impression(UserState(), last)
    assert entries(state.shown) == [(1, 2**32 - 1)]


def test_events_keep_what_was_shown_and_served() -> None:
    state, _ = apply_impression(UserState(), SourceImpression((5, 6), 1_000, SOURCE, 0))
    state = with_list(state, [8, 9])
    after, _ = apply_all(state, [SourceEvent(1, at, 2, 1, "clicks/0", at) for at in (50, 40)])
    assert (after.shown, after.served, after.last_list) == (state.shown, state.served, 2)


def test_a_row_of_a_release_without_these_fields_is_read() -> None:
    row = msgspec.msgpack.encode({"v": 1, "n": 1, "h": b"\0" * 18, "o": {"clicks/0": 4}, "t": 9})
    state = decode_state(row)
    assert (state.events, state.shown, state.served, state.last_list) == (1, b"", b"", 0)
    assert msgspec.msgpack.decode(encode_state(state)) == msgspec.msgpack.decode(row)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"w": b"\0" * 7}, "shown is 7 bytes, not a whole number of 8-byte"),
        ({"q": b"\0" * 9}, "served is 9 bytes"),
        ({"q": b"\0" * 16, "k": 3}, "the last list has 3 entries of 2 that were served"),
        ({"k": -1}, "the last list has -1 entries"),
    ],
)
def test_a_damaged_row_says_what_is_wrong(damage: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_state(msgspec.msgpack.encode({"v": 1} | damage))


def test_pairs_of_batches_do_not_matter() -> None:
    shown = [SourceImpression((n, n + 1), n * 1_000, SOURCE, n) for n in range(300)]
    whole, _ = take(UserState(), list(shown))
    state = UserState()
    for start, end in pairwise((0, 7, 7, 211, 300)):
        state = decode_state(encode_state(state))
        state, _ = take(state, list(shown[start:end]))
    assert state == whole
