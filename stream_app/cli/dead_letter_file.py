"""Dead letters as lines of JSON that a person can edit, and back to records that can be sent.

A value is shown as what it is: `{"json": ...}` and `{"msgpack": ...}` hold a message that can be
mended in place, `{"text": ...}` is UTF-8 that is no message, `{"base64": ...}` is everything else.
A value is written back in the encoding that its name says.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec

import schemas
from schemas import MAX_ID_BYTES, Click, DeadLetter, Impression, Purchase, RejectedMessage
from stream_app.errors import UserError

EventKind = type[Click] | type[Purchase] | type[Impression]
MAX_ERRORS = 20
"""Errors shown of a file; the same mistake is often on every line."""


class Blob(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Bytes in the form that is easiest to edit; exactly one field is set."""

    json: dict[str, Any] | None = None
    msgpack: dict[str, Any] | None = None
    text: str | None = None
    base64: str | None = None

    def to_bytes(self) -> bytes:
        """The bytes. Raises `ValueError` saying what is wrong with the form."""
        if [self.json, self.msgpack, self.text, self.base64].count(None) != 3:
            raise ValueError("give exactly one of json, msgpack, text and base64")
        if self.json is not None:
            return json.dumps(self.json, ensure_ascii=False, allow_nan=False).encode()
        if self.msgpack is not None:
            try:
                return bytes(msgpack.packb(self.msgpack))
            except OverflowError as error:
                raise ValueError(f"not MessagePack: {error}") from None
        if self.text is not None:
            return self.text.encode()
        try:
            return base64.b64decode(self.base64 or "", validate=True)
        except binascii.Error as error:
            raise ValueError(f"not base64: {error}") from None


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dead letter in a file; to be mended are `key`, `value` and `headers`."""

    origin: str
    """`topic/partition@offset` of the rejected record: what makes a replay recognisable."""
    reason: str
    detail: str
    rejected_ms: int
    """When the dead letter was written, Unix ms."""
    appended_ms: int
    """When the rejected record was, Unix ms."""
    topic: str
    key: str | Blob | None
    value: Blob | None
    headers: list[tuple[str, str | Blob | None]] = []
    truncated: list[str] = []


@dataclass(frozen=True, slots=True)
class Replay:
    """A record to send, and the rejected one it stands for."""

    origin: str
    rejected_ms: int
    appended_ms: int
    """When the rejected record was appended: an erasure after that covers it."""
    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def origin_of(letter: DeadLetter) -> str:
    """Where the rejected record stands."""
    return f"{letter.topic}/{letter.partition}@{letter.offset}"


def to_line(letter: DeadLetter, rejected_ms: int) -> bytes:
    """A dead letter as a line of JSON, without the line's end."""
    line = Line(
        origin=origin_of(letter),
        reason=letter.reason,
        detail=letter.detail,
        rejected_ms=rejected_ms,
        appended_ms=letter.timestamp_ms,
        topic=letter.topic,
        key=_text_or_blob(letter.key),
        value=None if letter.value is None else shown(letter.value),
        headers=[(name, _text_or_blob(value)) for name, value in letter.headers],
        truncated=list(letter.truncated),
    )
    return msgspec.json.encode(line)


def as_it_was(letter: DeadLetter, rejected_ms: int) -> Replay:
    """The rejected record itself, with an `event_id` if it has none and can be given one."""
    value = None if letter.value is None else shown(letter.value)
    return Replay(
        origin_of(letter), rejected_ms, letter.timestamp_ms, letter.topic, letter.key,
        None if value is None else _identified(value, origin_of(letter)), letter.headers,
    )  # fmt: skip


def read_corrected(
    lines: Iterable[bytes], kinds: Mapping[str, EventKind], now_ms: int
) -> list[Replay]:
    """Every record of a file, each of which a worker would accept.

    `kinds` says what the source topics hold. Raises `UserError` that names each wrong line and what
    is wrong about it; then nothing of the file may be sent.
    """
    replays: list[Replay] = []
    errors: list[str] = []
    known: dict[str, int] = {}
    for number, raw in enumerate(lines, start=1):
        if not raw.strip():
            continue
        try:
            replay = _corrected(raw, kinds, now_ms)
            if replay.origin in known:
                raise ValueError(f"{replay.origin} is on line {known[replay.origin]} already")
        except (ValueError, UserError) as error:
            errors.append(f"line {number}: {error}")
            continue
        known[replay.origin] = number
        replays.append(replay)
    if errors:
        shown_errors = "\n".join(errors[:MAX_ERRORS])
        more = f"\nand {len(errors) - MAX_ERRORS} more" if len(errors) > MAX_ERRORS else ""
        raise UserError(f"{len(errors)} lines are wrong, nothing was sent:\n{shown_errors}{more}")
    return replays


def _corrected(raw: bytes, kinds: Mapping[str, EventKind], now_ms: int) -> Replay:
    try:
        line = msgspec.json.decode(raw, type=Line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no dead letter of `dead-letters export`: {error}") from None
    if line.topic not in kinds:
        raise ValueError(f"topic {line.topic!r} is no source topic; there are {', '.join(kinds)}")
    key = _to_bytes(line.key, "key")
    if line.value is None:
        raise ValueError("value: it is null; an event needs one")
    kind: type[Any] = kinds[line.topic]
    shows = kind is Impression  # which needs no id: shown twice at one time is shown once
    try:
        value = line.value.to_bytes() if shows else _identified(line.value, line.origin)
    except ValueError as error:
        raise ValueError(f"value: {error}") from None
    try:
        if shows:
            schemas.decode_impression(value, key=key, now_ms=now_ms)
        else:
            schemas.decode(kind, value, key=key, now_ms=now_ms)
    except RejectedMessage as rejected:
        raise ValueError(f"value: {rejected}") from None
    headers = tuple((name, _to_bytes(content, f"header {name}")) for name, content in line.headers)
    return Replay(line.origin, line.rejected_ms, line.appended_ms, line.topic, key, value, headers)


def shown(value: bytes) -> Blob:
    """Bytes in the most readable form that gives the same message back."""
    fields = _fields(value)
    if fields is not None:
        return Blob(json=fields) if value.startswith(b"{") else Blob(msgpack=fields)
    try:
        return Blob(text=value.decode())
    except UnicodeDecodeError:
        return Blob(base64=base64.b64encode(value).decode())


def _fields(value: bytes) -> dict[str, Any] | None:
    """The fields of a message that JSON can show without losing anything of it."""
    try:
        if schemas.find_duplicate_key(value) is not None:
            return None
        fields = json.loads(value) if value.startswith(b"{") else msgpack.unpackb(value)
        # Bytes, extension types, numbers that are not finite: JSON has no form for them.
        as_json = json.dumps(fields, ensure_ascii=False, allow_nan=False)
        same = isinstance(fields, dict) and json.loads(as_json) == fields
        as_json.encode()  # half of a surrogate pair has no UTF-8
        return fields if same else None
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def _identified(value: Blob, origin: str) -> bytes:
    """The bytes of a value; a message without an `event_id` gets one that names its origin."""
    as_it_is = value.to_bytes()
    for field in ("json", "msgpack"):
        fields = getattr(value, field)
        if fields is not None and fields.get("event_id") is None:
            return Blob(**{field: fields | {"event_id": event_id(origin)}}).to_bytes()
    return as_it_is


def event_id(origin: str) -> str:
    """The event id of what is replayed from there: two replays at a time are applied once."""
    named = f"replayed-from:{origin}"
    if len(named.encode()) <= MAX_ID_BYTES:
        return named
    return "replayed-from:" + blake2b(origin.encode(), digest_size=16).hexdigest()


def _text_or_blob(content: bytes | None) -> str | Blob | None:
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return Blob(base64=base64.b64encode(content).decode())


def _to_bytes(content: str | Blob | None, name: str) -> bytes | None:
    if isinstance(content, Blob):
        try:
            return content.to_bytes()
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return None if content is None else content.encode()
