"""A row survives its codec, a newer writer and a damaged disk."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from user_events import apply_all, event_sequences

from stream_app.users import SourceEvent, UserState, decode_state, encode_state

ENCODED = UserState(hidden=b"\1" * 512, vector=b"\2" * 128, release="shop@2026-01-01")

values = st.one_of(st.integers(-(2**40), 2**40), st.text(max_size=5), st.binary(max_size=5))


def row_as_map(state: UserState) -> dict[str, Any]:
    return msgspec.msgpack.decode(encode_state(state), type=dict[str, Any])


@given(event_sequences(), st.sampled_from((UserState(), ENCODED)))
def test_a_state_survives_the_codec(events: list[SourceEvent], start: UserState) -> None:
    state, _ = apply_all(start, events)
    assert decode_state(encode_state(state)) == state


@given(
    event_sequences(max_size=20),
    st.dictionaries(st.text(min_size=2, max_size=6).filter(lambda k: k != "extra"), values),
    st.integers(1, 9),
)
def test_fields_of_a_newer_writer_survive_events_and_rewriting(
    events: list[SourceEvent], future: dict[str, Any], version: int
) -> None:
    row = row_as_map(ENCODED) | future | {"v": version}
    state = decode_state(msgspec.msgpack.encode(row))
    expected, _ = apply_all(ENCODED, events)
    state, _ = apply_all(state, events)
    assert row_as_map(state) == row_as_map(expected) | future | {"v": version}


def test_an_empty_state_is_a_few_bytes() -> None:
    assert len(encode_state(UserState())) < 8
    assert decode_state(encode_state(UserState())) == UserState()


@given(st.binary(max_size=64))
def test_random_bytes_raise_a_value_error_or_are_a_row(row: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(decode_state(row), UserState)


@given(event_sequences(max_size=20), st.data())
def test_a_cut_row_is_refused(events: list[SourceEvent], data: st.DataObject) -> None:
    state, _ = apply_all(ENCODED, events)
    row = encode_state(state)
    length = data.draw(st.integers(0, len(row) - 1))
    with pytest.raises(ValueError, match="user row"):
        decode_state(row[:length])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"h": b"\0" * 19}, "history is 19 bytes, not a whole number of 18-byte"),
        ({"i": b"\0" * 9}, "event_ids is 9 bytes"),
        ({"e": b"\0" * 5}, "seen is 5 bytes"),
        ({"s": b"\0"}, "hidden is 1 bytes"),
        ({"u": b"\0" * 3}, "vector is 3 bytes"),
        ({"h": 5}, "Expected `bytes`, got `int`"),
        ({"o": {"clicks/0": "7"}}, "Expected `int`, got `str`"),
        ({"v": 0}, "version 0"),
        ({"v": "one"}, "version 'one'"),
    ],
)
def test_a_damaged_row_says_what_is_wrong(damage: dict[str, Any], message: str) -> None:
    row = msgspec.msgpack.encode(row_as_map(ENCODED) | damage)
    with pytest.raises(ValueError, match=message):
        decode_state(row)


def test_a_row_that_is_no_map_is_refused() -> None:
    with pytest.raises(ValueError, match="not a MessagePack map"):
        decode_state(msgspec.msgpack.encode([1, 2]))


@pytest.mark.parametrize("number", [-1, 2**62, 2**63 - 1])
@pytest.mark.parametrize("field", ["events", "late", "duplicates", "offsets"])
def test_impossible_numbers_are_damage(field: str, number: int) -> None:
    value = {"clicks/0": number} if field == "offsets" else number
    with pytest.raises(ValueError, match="counter or offset"):
        decode_state(encode_state(UserState(**{field: value})))
