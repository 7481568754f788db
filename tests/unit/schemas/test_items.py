"""Records of the topic `items`: valid, a removal, or refused with a reason."""

from __future__ import annotations

import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import Item, Reason, RejectedMessage, decode_item, encode

FULL = {
    "item_id": "lamp",
    "title": "A lamp",
    "categories": ["light", "table"],
    "attributes": {"colour": "red", "watts": 7, "dimmable": True, "lumen": 1.5},
    "price": 9.5,
    "currency": "EUR",
    "available_from_ms": 10,
    "available_until_ms": 20,
    "popularity": 3,
    "related": ["shade"],
    "vectors": {"image": [0.5, 1]},
}


def refused(payload: bytes | None, key: bytes | None = b"lamp") -> RejectedMessage:
    with pytest.raises(RejectedMessage) as caught:
        decode_item(payload, key=key)
    return caught.value


@pytest.mark.parametrize("pack", [msgpack.packb, lambda fields: json.dumps(fields).encode()])
def test_either_encoding_reads_the_same(pack) -> None:
    item_id, item = decode_item(pack(FULL), key=b"lamp")
    assert item_id == "lamp"
    assert item.categories == ("light", "table")
    assert item.attributes == FULL["attributes"]
    assert item.vectors == {"image": (0.5, 1.0)}
    assert decode_item(encode(item), key=b"lamp") == (item_id, item)


def test_a_null_value_delists_the_item_of_the_key() -> None:
    assert decode_item(None, key="Lampe é".encode()) == ("Lampe é", None)


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"x" * 257])
def test_a_removal_needs_a_key_that_is_an_item(key) -> None:
    assert refused(None, key).reason in (Reason.VALIDATION_ERROR, Reason.DECODE_ERROR)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("item_id", ""),
        ("item_id", "é" * 200),
        ("title", 7),
        ("title", "x" * 1001),
        ("description", "x" * 20_001),
        ("categories", ["c"] * 65),
        ("categories", [""]),
        ("attributes", {"nested": {"no": 1}}),
        ("attributes", {str(n): n for n in range(129)}),
        ("attributes", {"big": 2**60}),
        ("attributes", {"big": "x" * 1001}),
        ("price", -1),
        ("currency", "EURO"),
        ("available_from_ms", -5),
        ("available_until_ms", 10),
        ("popularity", -0.5),
        ("related", ["x" * 257]),
        ("related", ["é" * 200]),
        ("vectors", {"image": []}),
        ("vectors", {"image": [0.0] * 8193}),
        ("vectors", {"image": ["a"]}),
    ],
)
def test_a_value_out_of_bounds_is_refused(field, value) -> None:
    fields = {**FULL, field: value}
    key = fields["item_id"].encode()
    assert refused(msgpack.packb(fields), key).reason is Reason.VALIDATION_ERROR


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_without_bound(value) -> None:
    for field in ({"vectors": {"image": [value]}}, {"attributes": {"a": value}}, {"price": value}):
        assert refused(msgpack.packb({**FULL, **field})).reason is Reason.VALIDATION_ERROR


def test_the_key_must_be_the_item() -> None:
    assert "is not the item_id 'lamp'" in refused(msgpack.packb(FULL), b"other").detail
    assert "must be the item_id 'lamp'" in refused(msgpack.packb(FULL), None).detail


def test_a_field_named_twice_is_refused() -> None:
    assert "twice" in refused(b'{"item_id": "lamp", "title": "a", "title": "b"}').detail


def test_what_is_no_message_is_refused() -> None:
    assert refused(b"").reason is Reason.DECODE_ERROR
    assert refused(b"\xc0").reason is Reason.DECODE_ERROR
    assert refused(b"{" * 300_000).reason is Reason.TOO_LARGE


@given(st.binary(max_size=200), st.none() | st.binary(max_size=20))
def test_any_bytes_are_an_item_or_refused(payload, key) -> None:
    try:
        item_id, item = decode_item(payload, key=key)
    except RejectedMessage:
        return
    assert isinstance(item, Item)
    assert item_id.encode() == key
