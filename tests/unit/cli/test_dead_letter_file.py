"""A dead letter can be read and mended by a person, and nothing wrong gets out of the file."""

from __future__ import annotations

import json

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from schemas import Click, DeadLetter, Impression, Purchase
from stream_app.cli.dead_letter_file import (
    Blob,
    Line,
    as_it_was,
    event_id,
    read_corrected,
    shown,
    to_line,
)
from stream_app.errors import UserError
from tests.hostile.payloads import samples

NOW = 1_750_000_000_000
KINDS = {"clicks": Click, "purchases": Purchase, "impressions": Impression}
GOOD = {"user_id": "ann", "item_id": "1", "timestamp_ms": NOW}
pack = msgpack.packb


def letter(value: bytes | None, key: bytes | None = b"ann", offset: int = 7) -> DeadLetter:
    return DeadLetter(
        reason="validation_error", detail="wrong", topic="clicks", partition=3, offset=offset,
        timestamp_ms=NOW, key=key, value=value, headers=(("trace", b"\xff"), ("t", None)),
    )  # fmt: skip


def exported(value: bytes | None, **options: object) -> dict[str, object]:
    return json.loads(to_line(letter(value, **options), NOW + 5))


def corrected(*lines: object) -> list[bytes]:
    return [json.dumps(line).encode() for line in lines]


def test_a_line_shows_the_record_and_its_origin() -> None:
    line = exported(json.dumps({"user_id": "zoë"}).encode(), key=b"\xff")
    assert line["origin"] == "clicks/3@7"
    assert line["value"] == {"json": {"user_id": "zoë"}}
    assert line["key"] == {"base64": "/w=="}
    assert line["headers"] == [["trace", {"base64": "/w=="}], ["t", None]]
    assert (line["reason"], line["detail"], line["rejected_ms"]) == (
        "validation_error", "wrong", NOW + 5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (pack({"user_id": 7}), "msgpack"), (b"{}", "json"), (b"", "text"), (b"[1]", "text"),
        (b'{"a":1,"a":2}', "text"), (b'{"a":1e999}', "text"), (b"{", "text"),
        (b"\xff", "base64"), (pack({1: 2}), "base64"), (pack({"a": b"\xff"}), "base64"),
        (pack({"a": float("nan")}), "base64"), (pack({"a": msgpack.ExtType(5, b"")}), "base64"),
        (b'{"a":"\\ud800"}', "text"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_what_it_is(value: bytes, form: str) -> None:
    blob = shown(value)
    assert getattr(blob, form) is not None
    again = blob.to_bytes()
    assert again == value or form == "json"


def test_every_hostile_payload_survives_the_file() -> None:
    stream = samples(5, now_ms=NOW)
    for _ in range(3_000):
        sample = next(stream)
        line = msgspec.json.decode(to_line(letter(sample.value, key=sample.key), NOW), type=Line)
        if sample.value is None:
            assert line.value is None
        elif line.value is not None and (line.value.json or line.value.msgpack) is None:
            assert line.value.to_bytes() == sample.value


@given(
    st.binary(max_size=60) | st.dictionaries(st.text(), st.integers(-(2**63), 2**64 - 1)).map(pack)
)
def test_any_bytes_survive_the_file(value: bytes) -> None:
    line = msgspec.json.decode(to_line(letter(value), NOW), type=Line)
    assert line.value is not None
    again = line.value.to_bytes()
    assert again == value or msgpack.unpackb(again) == msgpack.unpackb(value)


def test_a_corrected_line_becomes_a_valid_event_with_an_id() -> None:
    line = exported(pack({**GOOD, "item_id": 7, "new": [1]}))
    line["value"]["msgpack"]["item_id"] = "7"
    (replay,) = read_corrected(corrected(line), KINDS, NOW)
    assert (replay.topic, replay.key, replay.origin) == ("clicks", b"ann", "clicks/3@7")
    assert replay.headers == (("trace", b"\xff"), ("t", None))
    event = schemas.decode(Click, replay.value, key=b"ann", now_ms=NOW)
    assert (event.item_id, event.event_id) == ("7", "replayed-from:clicks/3@7")
    assert msgpack.unpackb(replay.value)["new"] == [1], "what we do not know stays"


def test_an_event_keeps_its_own_id() -> None:
    line = exported(json.dumps({**GOOD, "event_id": "mine"}).encode())
    (replay,) = read_corrected(corrected(line), KINDS, NOW)
    assert schemas.decode(Click, replay.value, key=b"ann", now_ms=NOW).event_id == "mine"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"value": {"json": {**GOOD, "item_id": 7}}}, "item_id"),
        ({"value": {"json": {**GOOD, "timestamp_ms": NOW + 10**9}}}, "timestamp_ms"),
        ({"key": "bob"}, "key"),
        ({"key": None}, "key"),
        ({"key": {"base64": "!"}}, "key"),
        ({"value": None}, "value"),
        ({"value": {}}, "exactly one of"),
        ({"value": {"text": "x", "json": {}}}, "exactly one of"),
        ({"value": {"msgpack": {"a": 2**70}}}, "not MessagePack"),
        ({"topic": "click"}, "no source topic"),
        ({"vlaue": {}}, "vlaue"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(change: dict[str, object], named: str) -> None:
    good, bad = exported(json.dumps(GOOD).encode()), exported(json.dumps(GOOD).encode(), offset=8)
    with pytest.raises(UserError, match="nothing was sent") as caught:
        read_corrected(corrected(good, bad | change), KINDS, NOW)
    assert "line 2:" in str(caught.value)
    assert named in str(caught.value)


def test_all_wrong_lines_are_named_up_to_a_number() -> None:
    lines = [exported(b"{}", offset=offset) for offset in range(30)]
    with pytest.raises(UserError, match="30 lines are wrong") as caught:
        read_corrected(corrected(*lines), KINDS, NOW)
    assert "and 10 more" in str(caught.value)


def test_one_record_cannot_be_replayed_by_two_lines() -> None:
    line = exported(json.dumps(GOOD).encode())
    with pytest.raises(UserError, match=r"line 2: clicks/3@7 is on line 1 already"):
        read_corrected(corrected(line, line), KINDS, NOW)


def test_the_file_may_have_blank_lines_and_fewer_records() -> None:
    line = exported(json.dumps(GOOD).encode())
    assert len(read_corrected([b"\n", *corrected(line), b" \n"], KINDS, NOW)) == 1
    assert read_corrected([], KINDS, NOW) == []


def test_an_original_is_sent_as_it_was_but_for_the_id() -> None:
    assert as_it_was(letter(b"\xff"), NOW).value == b"\xff"
    replay = as_it_was(letter(pack(GOOD)), NOW)
    assert msgpack.unpackb(replay.value) == {**GOOD, "event_id": "replayed-from:clicks/3@7"}


def test_an_event_id_always_fits() -> None:
    long = [event_id(f"{'t' * 249}/1@{offset}") for offset in (10**12, 10**12 + 1)]
    assert len(set(long)) == 2
    assert all(len(one.encode()) <= schemas.MAX_ID_BYTES for one in long)


def test_a_form_of_bytes_is_checked() -> None:
    with pytest.raises(ValueError, match="not base64"):
        Blob(base64="?").to_bytes()


def test_an_impression_is_corrected_like_an_event() -> None:
    good = {"user_id": "ann", "rec_id": "r", "item_ids": ["1"], "timestamp_ms": NOW}
    rejected = msgspec.structs.replace(letter(b"{}"), topic="impressions")
    line = json.loads(to_line(rejected, NOW + 5))
    (replay,) = read_corrected(corrected(line | {"value": {"msgpack": good}}), KINDS, NOW)
    assert (replay.topic, msgpack.unpackb(replay.value)) == ("impressions", good)
    for wrong, said in (
        ({**good, "item_ids": []}, "length >= 1"),
        ({**good, "timestamp_ms": NOW + 10**7}, "ahead of the clock"),
    ):
        with pytest.raises(UserError, match=said):
            read_corrected(corrected(line | {"value": {"json": wrong}}), KINDS, NOW)
