"""A row says who wrote it and when, and damage to it is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.streaming.rows import PREFIX_BYTES, Stamp, seal, stamp_of, unseal

numbers = st.integers(0, 2**63 - 1)


@given(st.binary(max_size=300), numbers, numbers)
def test_what_was_sealed_comes_out(state: bytes, epoch: int, written_ms: int) -> None:
    row = seal(state, Stamp(epoch, written_ms))
    assert unseal(row) == state
    assert stamp_of(row) == (epoch, written_ms)
    assert len(row) == len(state) + PREFIX_BYTES


@given(st.binary(min_size=1, max_size=100), st.data())
def test_any_changed_bit_is_noticed(state: bytes, data) -> None:
    row = bytearray(seal(state, Stamp(3, 1_700_000_000_000)))
    place = data.draw(st.integers(0, len(row) - 1))
    row[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ValueError, match=r"damaged|do not begin"):
        unseal(bytes(row))


@given(st.binary(max_size=40))
def test_other_bytes_are_no_row(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged|do not begin"):
        unseal(value)
