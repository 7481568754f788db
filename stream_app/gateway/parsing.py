"""Bodies and query strings as messages, judged as a worker would judge them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

import schemas
from schemas import Click, Impression, Purchase, RecommendationRequest, RejectedMessage
from stream_app.cli.produce import Said, parse_event, parse_profile

JSON, LINES = "application/json", "application/x-ndjson"
DEFAULT_TIMEOUT_MS = 1_000
MAX_TIMEOUT_MS = 30_000
_LISTS = {
    "exclude": "exclude",
    "seed": "seed_items",
    "category": "categories",
    "filter": "filters",
}
_TEXTS = ("scenario", "query")
_FLAGS = ("explain",)
_CONTEXT = "context."
"""Before the name of something that is known of the situation: `context.page=home`."""
_NUMBERS = ("k", "timeout_ms")


class BadRequestError(Exception):
    """What was sent cannot be used; the text says why."""


def events_of(body: bytes, content_type: str, now_ms: int) -> list[Click | Purchase]:
    """The events of a body: a JSON object, an array of them, or JSON lines.

    Raises `BadRequestError` naming the first that a worker would reject.
    """
    events = []
    texts = _texts(body, content_type)
    for number, text in enumerate(texts, start=1):
        try:
            event = parse_event(text.decode(), now_ms)
            _judge(event, now_ms)
        except RejectedMessage as error:
            raise BadRequestError(f"event {number} of {len(texts)}: {error.detail}") from None
        except ValueError as error:
            raise BadRequestError(f"event {number} of {len(texts)}: {error}") from None
        events.append(event)
    return events


def impressions_of(body: bytes, content_type: str, now_ms: int) -> list[Impression]:
    """The impressions of a body, as `events_of`."""
    made = []
    texts = _texts(body, content_type)
    for number, text in enumerate(texts, start=1):
        try:
            fields = msgspec.json.decode(text, type=dict[str, Any])
            fields.setdefault("timestamp_ms", now_ms)
            one = msgspec.convert(fields, Impression)
            schemas.decode_impression(schemas.encode(one), key=one.user_id.encode())
        except RejectedMessage as error:
            raise BadRequestError(f"impression {number} of {len(texts)}: {error.detail}") from None
        except ValueError as error:  # those of msgspec are such
            raise BadRequestError(f"impression {number} of {len(texts)}: {error}") from None
        made.append(one)
    return made


def profiles_of(body: bytes, content_type: str) -> list[Said]:
    """What a body says of users, as `events_of`."""
    made = []
    texts = _texts(body, content_type)
    for number, text in enumerate(texts, start=1):
        try:
            made.append(parse_profile(text.decode()))
        except RejectedMessage as error:
            raise BadRequestError(f"profile {number} of {len(texts)}: {error.detail}") from None
        except ValueError as error:
            raise BadRequestError(f"profile {number} of {len(texts)}: {error}") from None
    return made


def _texts(body: bytes, content_type: str) -> Sequence[bytes]:
    if content_type == LINES:
        return [line for line in body.splitlines() if line.strip()]
    if content_type == JSON:
        return _objects(body)
    raise BadRequestError(f"the content type is {content_type!r}; send {JSON} or {LINES}")


def _objects(body: bytes) -> Sequence[bytes]:
    if not body.lstrip().startswith(b"["):
        return [body]
    try:
        return [bytes(one) for one in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None


def _judge(event: Click | Purchase, now_ms: int) -> None:
    value, key = schemas.encode(event), event.user_id.encode()
    if isinstance(event, Purchase):
        schemas.decode(Purchase, value, key=key, now_ms=now_ms)
    else:
        schemas.decode(Click, value, key=key, now_ms=now_ms)


def request_of(
    user_id: str, query: Sequence[tuple[str, str]], request_id: str, now_ms: int
) -> tuple[RecommendationRequest, float]:
    """A request and how many seconds to wait, from the parts of an address.

    Raises `BadRequestError`.
    """
    given = _collected(query)
    timeout_ms = given.pop("timeout_ms", DEFAULT_TIMEOUT_MS)
    if not 1 <= timeout_ms <= MAX_TIMEOUT_MS:
        raise BadRequestError(f"timeout_ms is {timeout_ms}; it must be from 1 to {MAX_TIMEOUT_MS}")
    request = RecommendationRequest(
        user_id=user_id, request_id=request_id, deadline_ms=now_ms + timeout_ms, **given
    )
    try:
        schemas.decode_request(schemas.encode(request), key=user_id.encode())
    except RejectedMessage as error:
        raise BadRequestError(error.detail) from None
    return request, timeout_ms / 1e3


def _collected(query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    lists: dict[str, list[str]] = {}
    given: dict[str, Any] = {}
    for name, value in query:
        if name in _LISTS:
            lists.setdefault(_LISTS[name], []).append(value)
        elif name.startswith(_CONTEXT) and len(name) > len(_CONTEXT):
            given.setdefault("context", {})[name.removeprefix(_CONTEXT)] = value
        elif name not in (*_NUMBERS, *_TEXTS, *_FLAGS):
            known = ", ".join((*_NUMBERS, *_TEXTS, *_FLAGS, *_LISTS, f"{_CONTEXT}NAME"))
            raise BadRequestError(f"unknown parameter {name!r}; there are {known}")
        elif name in given:
            raise BadRequestError(f"{name} is given twice")
        elif name in _TEXTS:
            given[name] = value
        elif name in _FLAGS:
            if value not in ("true", "false"):
                raise BadRequestError(f"{name} is {value!r}; it must be true or false")
            given[name] = value == "true"
        elif not (value.isascii() and value.isdigit() and len(value) < 10):
            raise BadRequestError(f"{name} is {value!r}; it must be a number")
        else:
            given[name] = int(value)
    return given | {name: tuple(items) for name, items in lists.items()}
