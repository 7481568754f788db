"""Whatever the bytes are, decoding gives a valid message or a rejection with a reason."""

from __future__ import annotations

import contextlib
import json
import math

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import (
    MAX_CLOCK_SKEW_MS,
    MAX_VALUE_BYTES,
    Click,
    Purchase,
    Reason,
    RejectedMessage,
    decode,
    encode,
)

NOW_MS = 1_750_000_000_000
BASE = {"user_id": "u1", "item_id": "i1", "timestamp_ms": NOW_MS}


def pack(fields: object) -> bytes:
    packed = msgpack.packb(fields)
    assert isinstance(packed, bytes)
    return packed


def to_json(fields: object) -> bytes:
    return json.dumps(fields).encode()


def reject(payload: bytes | None, kind: type = Click, key: bytes | None = b"u1") -> RejectedMessage:
    with pytest.raises(RejectedMessage) as caught:
        decode(kind, payload, key=key, now_ms=NOW_MS)
    assert caught.value.detail
    return caught.value


ids = st.text(min_size=1, max_size=64).filter(lambda s: s.isprintable())
contexts = st.dictionaries(
    st.text(max_size=8),
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(-1e300, 1e300)
    | st.text(max_size=8),
    max_size=4,
)
common = {
    "user_id": ids,
    "item_id": ids,
    "timestamp_ms": st.integers(0, NOW_MS),
    "event_id": st.none() | ids,
    "session_id": st.none() | ids,
    "rec_id": st.none() | ids,
    "context": st.none() | contexts,
}
events = st.builds(Click, **common, action=st.sampled_from(["click", "view", "like"])) | st.builds(
    Purchase,
    **common,
    quantity=st.integers(1, 9),
    price=st.none() | st.floats(0, 1e6),
    currency=st.none() | st.just("EUR"),
)


@given(events, st.sampled_from(["msgpack", "json"]))
def test_a_message_survives_the_round_trip(event, encoding):
    key = event.user_id.encode()
    assert decode(type(event), encode(event, encoding), key=key, now_ms=NOW_MS) == event


def any_outcome(payload: bytes) -> None:
    for kind in (Click, Purchase):
        with contextlib.suppress(RejectedMessage):
            assert decode(kind, payload, key=b"u1", now_ms=NOW_MS).user_id == "u1"


@given(st.binary(max_size=200))
def test_any_bytes_give_a_message_or_a_rejection(payload):
    any_outcome(payload)
    any_outcome(b"{" + payload)
    any_outcome(b"\x83" + payload)


@given(
    st.sampled_from([pack, to_json]),
    st.dictionaries(st.sampled_from(["price", "x", "context", "action"]), st.floats() | contexts),
    st.data(),
)
def test_damaged_messages_give_a_message_or_a_rejection(dump, more, data):
    payload = bytearray(dump({**BASE, **more}))
    for _ in range(data.draw(st.integers(0, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    any_outcome(bytes(payload[: data.draw(st.integers(0, len(payload)))]))
    any_outcome(bytes(payload))


@pytest.mark.parametrize(
    "payload",
    [
        None,
        b"",
        b"null",
        b"[]",
        b" {}",
        b"{",
        b"\x83\xa7user_id",
        pack(["u1", "i1", 1]),
        pack(BASE) + b"\x00",
        to_json(BASE) + b"{}",
        to_json(BASE).replace(b"i1", b"\xff\xfe"),
        pack(BASE).replace(b"i1", b"\xff\xfe"),
        to_json({**BASE, "unknown": "??"}).replace(b"??", b"\xff\xfe"),
        pack({**BASE, "unknown": "??"}).replace(b"??", b"\xff\xfe"),
        to_json(BASE).replace(b'"i1"', b'"\\ud800"'),
        b'{"user_id":"u1","item_id":"i1","timestamp_ms":1,"x":NaN}',
    ],
)
def test_undecodable_bytes(payload):
    assert reject(payload).reason is Reason.DECODE_ERROR


@pytest.mark.parametrize("closed", [True, False])
def test_depth_bombs(closed):
    depth = 100_000
    bombs = [
        to_json(BASE)[:-1] + b', "x":' + b"[" * depth + (b"]" * depth + b"}") * closed,
        to_json(BASE)[:-1] + b', "x":' + b'{"a":' * (depth // 4) + (b"1" + b"}" * depth) * closed,
        b"\x84" + pack(BASE)[1:] + b"\xa1x" + b"\x91" * depth + b"\x01" * closed,
        b"\x84" + pack(BASE)[1:] + b"\xa1x" + b"\x81\xa1a" * (depth // 2) + b"\x01" * closed,
    ]
    for bomb in bombs:
        assert reject(bomb).reason is Reason.DECODE_ERROR


@pytest.mark.parametrize("dump", [pack, to_json])
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"user_id": "u1", "timestamp_ms": 1}, "item_id"),
        ({**BASE, "item_id": None}, "item_id"),
        ({**BASE, "item_id": ""}, "item_id"),
        ({**BASE, "item_id": 7}, "item_id"),
        ({**BASE, "timestamp_ms": "now"}, "timestamp_ms"),
        ({**BASE, "timestamp_ms": -1}, "timestamp_ms"),
        ({**BASE, "timestamp_ms": 1.5}, "timestamp_ms"),
        ({**BASE, "action": ""}, "action"),
        ({**BASE, "context": {"a": [1]}}, "context"),
        ({**BASE, "item_id": "i" * 257}, "item_id"),
        ({**BASE, "item_id": "é" * 129}, "item_id"),  # 258 bytes
        ({**BASE, "rec_id": "é" * 129}, "rec_id"),
    ],
)
def test_missing_and_wrong_fields_are_named(dump, fields, named):
    rejected = reject(dump(fields))
    assert rejected.reason is Reason.VALIDATION_ERROR
    assert named in rejected.detail


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf, -1.0, 1e300])
def test_a_price_is_a_finite_number(price):
    assert reject(pack({**BASE, "price": price}), Purchase).reason is Reason.VALIDATION_ERROR


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_context_number_is_finite(value):
    rejected = reject(pack({**BASE, "context": {"a": value}}))
    assert rejected.reason is Reason.VALIDATION_ERROR


@pytest.mark.parametrize(
    "payload",
    [
        b'{"user_id":"u1","item_id":"i1","timestamp_ms":1,"item_id":"i2"}',
        b'{"user_id":"u1","item_id":"i1","timestamp_ms":1,"context":{"a":1,"a":2}}',
        b'{"user_id":"u1","item_id":"i1","timestamp_ms":1,"x":{"a":1,"a":2}}',
        b'{"user_id":"u1","item_id":"i1","timestamp_ms":1,"x":1,"x":1}',
        b"\x84" + pack(BASE)[1:] + pack({"item_id": "i2"})[1:],
        b"\xde\x00\x04" + pack(BASE)[1:] + pack({"item_id": "i2"})[1:],
        b"\xdf\x00\x00\x00\x04" + pack(BASE)[1:] + pack({"item_id": "i2"})[1:],
        b"\x84" + pack(BASE)[1:] + b"\xa7context\x82\xa1a\x01\xa1a\x02",
    ],
)
def test_duplicate_keys(payload):
    rejected = reject(payload)
    assert rejected.reason is Reason.VALIDATION_ERROR
    assert "twice" in rejected.detail


@pytest.mark.parametrize("dump", [pack, to_json])
def test_unknown_fields_are_ignored(dump):
    payload = dump({**BASE, "new": {"deep": [1, {"a": 10**18}]}, "action": "view"})
    message = decode(Click, payload, key=b"u1", now_ms=NOW_MS)
    assert message == Click(**BASE, action="view")


def test_unknown_fields_may_be_of_any_kind():
    odd = msgpack.packb({1: {2: 3}, b"k": msgpack.ExtType(7, b"x")})
    payload = b"\x84" + pack(BASE)[1:] + b"\xa1x" + odd
    assert decode(Click, payload, key=b"u1", now_ms=NOW_MS) == Click(**BASE)
    payload = to_json(BASE)[:-1] + b', "x": ' + b"9" * 10_000 + b"}"
    assert decode(Click, payload, key=b"u1", now_ms=NOW_MS) == Click(**BASE)


@pytest.mark.parametrize("key", [None, b"", b"u2", b"u1 ", b"\xff"])
def test_the_key_must_be_the_user(key):
    rejected = reject(pack(BASE), key=key)
    assert rejected.reason is Reason.VALIDATION_ERROR
    assert "u1" in rejected.detail


def test_an_event_may_be_ahead_by_the_clock_skew_only():
    on_time = {**BASE, "timestamp_ms": NOW_MS + MAX_CLOCK_SKEW_MS}
    assert decode(Click, pack(on_time), key=b"u1", now_ms=NOW_MS).timestamp_ms > NOW_MS
    ahead = {**BASE, "timestamp_ms": NOW_MS + MAX_CLOCK_SKEW_MS + 1}
    assert reject(pack(ahead)).reason is Reason.TIMESTAMP_IN_FUTURE


def test_a_value_above_the_limit_is_not_even_parsed():
    assert reject(b"{" * (MAX_VALUE_BYTES + 1)).reason is Reason.TOO_LARGE


def test_ids_are_measured_in_utf8_bytes_at_their_limit():
    longest = "é" * 128  # 256 bytes
    payload = pack({**BASE, "user_id": longest, "item_id": longest, "session_id": longest})
    assert decode(Click, payload, key=longest.encode(), now_ms=NOW_MS).user_id == longest
