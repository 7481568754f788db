"""Bytes to messages and back: MessagePack maps, or JSON when the first byte is `{`.

Whatever the bytes are, `decode` returns a valid message or raises `RejectedMessage`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import msgspec

from schemas.decisions import Decision
from schemas.duplicates import find_duplicate_key
from schemas.errors import Reason, RejectedMessage
from schemas.experiments import ExperimentSpec, problem
from schemas.items import Item, ItemTrend, ItemVector
from schemas.messages import (
    MAX_ID_BYTES,
    Click,
    DeadLetter,
    ErasureReceipt,
    ErasureRequest,
    Impression,
    Purchase,
    Recommendation,
    RecommendationRequest,
)
from schemas.profiles import Profile
from schemas.rules import Rule
from schemas.serving import Scenario

Encoding = Literal["msgpack", "json"]
Event = TypeVar("Event", Click, Purchase)
Plain = TypeVar("Plain", ErasureRequest, Impression, Profile, RecommendationRequest)
Keyed = TypeVar("Keyed", Item, Rule, Scenario, ExperimentSpec)
Output = TypeVar(
    "Output", Recommendation, Decision, DeadLetter, ErasureReceipt, ItemVector, ItemTrend
)

MAX_VALUE_BYTES = 256 * 1024
"""An event is a few hundred bytes; a thousand times that is a mistake, and costs every reader."""
MAX_CLOCK_SKEW_MS = 5 * 60 * 1000
"""Producers' clocks drift by seconds. Beyond minutes the time is wrong (seconds for milliseconds,
a time zone), and one such event would push a user's whole history into the past."""

_JSON_OBJECT = ord("{")
_SMALL_MAP, _SMALL_MAP_END = 0x80, 0x90  # the low four bits are the number of pairs
_LARGE_MAPS = (0xDE, 0xDF)
_UNKNOWN_PAIRS = 1 << 32

_KINDS: tuple[type[msgspec.Struct], ...] = (
    Click,
    Purchase,
    Impression,
    Recommendation,
    RecommendationRequest,
    DeadLetter,
    Decision,
    ErasureRequest,
    ErasureReceipt,
    Item,
    ItemVector,
    ItemTrend,
    Profile,
    Scenario,
    ExperimentSpec,
    Rule,
)
_FROM_MSGPACK: dict[type, msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in _KINDS
}
_FROM_JSON: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in _KINDS
}
_to_msgpack = msgspec.msgpack.Encoder().encode
_to_json = msgspec.json.Encoder().encode


def encode(message: msgspec.Struct, encoding: Encoding = "msgpack") -> bytes:
    """Encode any message of `schemas.messages`; in JSON, `bytes` fields become base64."""
    return _to_json(message) if encoding == "json" else _to_msgpack(message)


def decode(kind: type[Event], payload: bytes | None, *, key: bytes | None, now_ms: int) -> Event:
    """Decode and validate one record of a source topic.

    `key` is the record's key, which must be the UTF-8 `user_id`: it chose the partition, and with
    it the worker that owns the user. `now_ms` is the current time in Unix milliseconds.
    Raises `RejectedMessage`, never anything else.
    """
    payload = _bounded(payload)
    message: Event = _parse(kind, payload)
    if _pairs_at_most(payload) > _distinct_fields(message) or message.context is not None:
        _refuse_duplicate_keys(payload)
    if len(payload) > MAX_ID_BYTES:  # no id is longer than the whole
        _check_id_bytes(message, ("user_id", "item_id", "event_id", "session_id", "rec_id"))
    if message.user_id.encode() != key:
        raise RejectedMessage(Reason.VALIDATION_ERROR, _key_mismatch(message.user_id, key))
    _refuse_future(message.timestamp_ms, now_ms)
    return message


def decode_erasure(payload: bytes | None, *, key: bytes | None) -> ErasureRequest:
    """Decode and validate one record of the topic `erasures`; the key must be the user as well.

    Raises `RejectedMessage`, never anything else.
    """
    return _decode_plain(ErasureRequest, payload, key, ("user_id", "request_id"))


def decode_request(payload: bytes | None, *, key: bytes | None) -> RecommendationRequest:
    """Decode and validate one record of `recommendation-requests`; the key must be the user.

    Raises `RejectedMessage`, never anything else.
    """
    message = _decode_plain(RecommendationRequest, payload, key, ("user_id", "request_id"))
    for name in ("exclude", "seed_items"):
        _check_items(name, getattr(message, name))
    return message


def decode_impression(
    payload: bytes | None, *, key: bytes | None, now_ms: int | None = None
) -> Impression:
    """Decode and validate one record of `impressions`; the key must be the user.

    With `now_ms` (Unix ms), what lies in the future is refused as of an event. Raises
    `RejectedMessage`, never anything else.
    """
    message = _decode_plain(Impression, payload, key, ("user_id", "rec_id", "session_id"))
    _check_items("item_ids", message.item_ids)
    if now_ms is not None:
        _refuse_future(message.timestamp_ms, now_ms)
    return message


def decode_profile(payload: bytes | None, *, key: bytes | None) -> tuple[str, Profile | None]:
    """Decode and validate one record of the topic `profiles`: the user, and what is said of them.

    None where the value is null: the profile is withdrawn. The key must be the user. Raises
    `RejectedMessage`, never anything else.
    """
    if payload is None:
        return _named_by(key, "user_id"), None
    message = _decode_plain(Profile, payload, key, ("user_id",))
    return message.user_id, message


def _decode_plain(
    kind: type[Plain], payload: bytes | None, key: bytes | None, ids: tuple[str, ...]
) -> Plain:
    value = _bounded(payload)
    message: Plain = _parse(kind, value)
    _refuse_duplicate_keys(value)
    _check_id_bytes(message, ids)
    if message.user_id.encode() != key:
        raise RejectedMessage(Reason.VALIDATION_ERROR, _key_mismatch(message.user_id, key))
    return message


def decode_item(payload: bytes | None, *, key: bytes | None) -> tuple[str, Item | None]:
    """Decode and validate one record of the topic `items`: the item's id, and what is said of it.

    None where the value is null: the item is delisted. The key must be the item's id. Raises
    `RejectedMessage`, never anything else.
    """
    if payload is None:
        return _named_by(key, "item_id"), None
    message = _decode_keyed(Item, payload, key, "item_id")
    for place, related in enumerate(message.related):
        if len(related.encode()) > MAX_ID_BYTES:
            detail = f"`$.related[{place}]` has more than {MAX_ID_BYTES} bytes"
            raise RejectedMessage(Reason.VALIDATION_ERROR, detail)
    begin, end = message.available_from_ms, message.available_until_ms
    if begin is not None and end is not None and end <= begin:
        detail = f"available_until_ms {end} is not after available_from_ms {begin}"
        raise RejectedMessage(Reason.VALIDATION_ERROR, detail)
    return message.item_id, message


def decode_item_vector(
    payload: bytes | None, *, key: bytes | None
) -> tuple[str, ItemVector | None]:
    """Decode one record of the topic `item-vectors`, which the application wrote: the item's id,
    and what was made of it; None takes it back. Raises `RejectedMessage` for what is none.
    """
    if payload is None:
        return _named_by(key, "item_id"), None
    message = decode_output(ItemVector, payload)
    return message.item_id, message


def decode_scenario(payload: bytes | None, *, key: bytes | None) -> tuple[str, Scenario | None]:
    """Decode and validate one record of the topic `scenarios`: its name, and what it says.

    None where the value is null: the scenario is withdrawn. The key must be the name. Raises
    `RejectedMessage`, never anything else.
    """
    if payload is None:
        return _named_by(key, "name"), None
    message = _decode_keyed(Scenario, payload, key, "name")
    return message.name, message


def decode_experiment(
    payload: bytes | None, *, key: bytes | None
) -> tuple[str, ExperimentSpec | None]:
    """Decode and validate one record of the topic `experiments`: its name, and what it says.

    None where the value is null: the experiment is removed. The key must be the name. Raises
    `RejectedMessage`, never anything else.
    """
    if payload is None:
        return _named_by(key, "name"), None
    message = _decode_keyed(ExperimentSpec, payload, key, "name")
    if (wrong := problem(message)) is not None:
        raise RejectedMessage(Reason.VALIDATION_ERROR, wrong)
    return message.name, message


def decode_rule(payload: bytes | None, *, key: bytes | None) -> tuple[str, Rule | None]:
    """Decode and validate one record of the topic `rules`: its id, and the rule.

    None where the value is null: the rule is withdrawn. The key must be the id; whether the
    expressions are valid is for `stream_app.rules` to say. Raises `RejectedMessage`, never anything
    else.
    """
    if payload is None:
        return _named_by(key, "rule_id"), None
    message = _decode_keyed(Rule, payload, key, "rule_id")
    if len(message.effects) != 1:
        given = " and ".join(message.effects) or "none of them"
        detail = f"a rule has one of pin, boost, bury, exclude and at_most; here is {given}"
        raise RejectedMessage(Reason.VALIDATION_ERROR, detail)
    begin, end = message.from_ms, message.until_ms
    if begin is not None and end is not None and end <= begin:
        detail = f"until_ms {end} is not after from_ms {begin}"
        raise RejectedMessage(Reason.VALIDATION_ERROR, detail)
    return message.rule_id, message


def _decode_keyed(kind: type[Keyed], payload: bytes, key: bytes | None, field: str) -> Keyed:
    value = _bounded(payload)
    message: Keyed = _parse(kind, value)
    _refuse_duplicate_keys(value)
    _check_id_bytes(message, (field,))
    name = getattr(message, field)
    if name.encode() != key:
        detail = _key_mismatch(name, key).replace("user_id", field)
        raise RejectedMessage(Reason.VALIDATION_ERROR, detail)
    return message


def _named_by(key: bytes | None, field: str) -> str:
    """What a record without a value is about."""
    try:
        name = (key or b"").decode()
    except UnicodeDecodeError:
        raise RejectedMessage(
            Reason.DECODE_ERROR, f"the record key {_short(key or b'')} is not UTF-8"
        ) from None
    if not 0 < len(key or b"") <= MAX_ID_BYTES:
        article, count = "an" if field[0] in "aeiou" else "a", len(key or b"")
        detail = f"the record key has {count} bytes; {article} {field} has 1 to {MAX_ID_BYTES}"
        raise RejectedMessage(Reason.VALIDATION_ERROR, detail)
    return name


def decode_output(kind: type[Output], payload: bytes | None) -> Output:
    """Decode a message that the application wrote.

    Raises `RejectedMessage` for bytes that are none.
    """
    if payload is None:
        raise RejectedMessage(Reason.DECODE_ERROR, "the value is null")
    message: Output = _parse(kind, payload)
    return message


def _bounded(payload: bytes | None) -> bytes:
    if payload is None:
        raise RejectedMessage(Reason.DECODE_ERROR, "the value is null; an event needs one")
    if len(payload) > MAX_VALUE_BYTES:
        detail = f"the value has {len(payload)} bytes, more than {MAX_VALUE_BYTES}"
        raise RejectedMessage(Reason.TOO_LARGE, detail)
    return payload


def _parse(kind: type, payload: bytes) -> Any:
    first = payload[0] if payload else None
    try:
        if first == _JSON_OBJECT:
            return _FROM_JSON[kind].decode(payload)
        if first is not None and (_SMALL_MAP <= first < _SMALL_MAP_END or first in _LARGE_MAPS):
            return _FROM_MSGPACK[kind].decode(payload)
    except msgspec.ValidationError as error:
        # The decoder stops at the first wrong field; what is no message at all has no fields.
        _refuse_damage(payload)
        raise RejectedMessage(Reason.VALIDATION_ERROR, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RejectedMessage(Reason.DECODE_ERROR, str(error)) from None
    except RecursionError:
        raise RejectedMessage(Reason.DECODE_ERROR, "the value is nested too deeply") from None
    found = "an empty value" if first is None else f"first byte 0x{first:02x}"
    detail = f"neither a MessagePack map nor a JSON object: {found}"
    raise RejectedMessage(Reason.DECODE_ERROR, detail)


def _pairs_at_most(payload: bytes) -> int:
    """Upper bound of the number of key-value pairs of the outermost map."""
    first = payload[0]
    if first == _JSON_OBJECT:
        return payload.count(b":")
    return first - _SMALL_MAP if first < _SMALL_MAP_END else _UNKNOWN_PAIRS


def _distinct_fields(message: Click | Purchase) -> int:
    """Lower bound of the number of fields that the payload named.

    With as many pairs, each was named once and none is unknown, so the slow look for duplicates
    can be spared: nearly always.
    """
    count = (
        3  # user_id, item_id, timestamp_ms
        + (message.event_id is not None)
        + (message.session_id is not None)
        + (message.rec_id is not None)
    )
    if isinstance(message, Click):
        return count + (message.action != "click")
    bought = (message.quantity != 1) + (message.price is not None) + (message.currency is not None)
    return count + bought


def _refuse_duplicate_keys(payload: bytes) -> None:
    """Two values under one key mean different things to different readers: keep neither."""
    key = _refuse_damage(payload)
    if key is not None:
        detail = f"an object names the key {_short(key)} twice"
        raise RejectedMessage(Reason.VALIDATION_ERROR, detail)


def _refuse_damage(payload: bytes) -> str | None:
    """Refuse what is not well-formed to its end; returns a key that is named twice, if any."""
    try:
        return find_duplicate_key(payload)
    except (ValueError, RecursionError) as error:
        detail = f"damaged behind what was read first: {error}"
        raise RejectedMessage(Reason.DECODE_ERROR, detail) from None


def _refuse_future(timestamp_ms: int, now_ms: int) -> None:
    if timestamp_ms > now_ms + MAX_CLOCK_SKEW_MS:
        ahead_s = (timestamp_ms - now_ms) / 1000
        detail = f"timestamp_ms {timestamp_ms} is {ahead_s:.0f} s ahead of the clock"
        raise RejectedMessage(Reason.TIMESTAMP_IN_FUTURE, detail)


def _check_id_bytes(message: msgspec.Struct, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(message, name)
        if value is not None:
            _check_bytes(name, value)


def _check_items(name: str, items: tuple[str, ...]) -> None:
    for place, item_id in enumerate(items):
        _check_bytes(f"{name}[{place}]", item_id)


def _check_bytes(name: str, value: str) -> None:
    if len(value.encode()) > MAX_ID_BYTES:
        detail = f"`$.{name}` has {len(value.encode())} bytes, more than {MAX_ID_BYTES}"
        raise RejectedMessage(Reason.VALIDATION_ERROR, detail)


def _key_mismatch(user_id: str, key: bytes | None) -> str:
    if key is None:
        return f"the record has no key; it must be the user_id {_short(user_id)}"
    return f"the record key {_short(key)} is not the user_id {_short(user_id)}"


def _short(value: str | bytes) -> str:
    return repr(value if len(value) <= 64 else value[:64]) + ("..." if len(value) > 64 else "")
