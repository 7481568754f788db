"""A dead letter holds the original record, and always fits on its topic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import (
    MAX_VALUE_BYTES,
    Reason,
    RejectedMessage,
    dead_letter,
    dead_letter_headers,
    decode_output,
    encode,
)
from schemas.messages import DeadLetter

BROKER_LIMIT_BYTES = 1_048_588  # message.max.bytes of Apache Kafka
REJECTED = RejectedMessage(Reason.VALIDATION_ERROR, "Object missing required field `item_id`")
WHERE = {"topic": "clicks", "partition": 3, "offset": 7, "timestamp_ms": 1}


def test_the_original_record_is_kept_whole():
    headers = (("trace", b"\x00"), ("none", None))
    letter = dead_letter(REJECTED, **WHERE, key=b"\xff", value=b"x" * 1000, headers=headers)
    assert letter.key == b"\xff"
    assert letter.value == b"x" * 1000
    assert letter.headers == headers
    assert letter.truncated == ()
    assert dead_letter_headers(letter) == [
        ("reason", b"validation_error"),
        ("topic", b"clicks"),
        ("partition", b"3"),
        ("offset", b"7"),
    ]


def test_a_value_that_could_have_been_applied_is_never_cut():
    value = b"\xff" * MAX_VALUE_BYTES
    assert dead_letter(REJECTED, **WHERE, key=b"u", value=value).value == value


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
def test_it_fits_whatever_arrived(encoding):
    rejected = RejectedMessage(Reason.TOO_LARGE, "\x00" * 10_000)
    letter = dead_letter(
        rejected,
        **WHERE,
        key=b"\xff" * 10**6,
        value=b"\xff" * 10**7,
        headers=[("\x01" * 1000, b"\xff" * 1000)] * 1000,
    )
    assert set(letter.truncated) == {"key", "value", "headers"}
    assert len(encode(letter, encoding)) + len(letter.key) < BROKER_LIMIT_BYTES


@given(
    st.none() | st.binary(max_size=50),
    st.none() | st.binary(max_size=50),
    st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3),
    st.sampled_from(["msgpack", "json"]),
)
def test_it_survives_the_round_trip(key, value, headers, encoding):
    letter = dead_letter(REJECTED, **WHERE, key=key, value=value, headers=headers)
    assert decode_output(DeadLetter, encode(letter, encoding)) == letter


def test_bytes_that_are_no_dead_letter_are_rejected():
    for payload in (None, b"", b"{}", b"\x80", b"nonsense"):
        with pytest.raises(RejectedMessage):
            decode_output(DeadLetter, payload)
