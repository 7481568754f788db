"""An event that a person makes up as a user: judged as a worker judges those of producers."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

import msgspec

from schemas import Click, Purchase, RejectedMessage, decode
from stream_app.inspector.problems import Problem, checked_id
from stream_app.recommender import Recommender
from stream_app.users.actions import ACTIONS, OTHER

ASKED_ACTIONS = tuple(name for code, name in enumerate(ACTIONS) if code != OTHER)
REPLAY_MS = 30 * 24 * 60 * 60 * 1000
"""A stream whose newest event lies so far back is a replay, as of the demo: an event of today would
outweigh all of it in what is popular."""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request."""

    item_id: Annotated[str, msgspec.Meta(min_length=1)]
    action: str = "click"


def event_of(user_id: str, body: bytes, now_ms: int) -> Click | Purchase:
    """What a body asks for, at a time (Unix ms). Raises `Problem`."""
    try:
        asked = msgspec.json.decode(body, type=Asked)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(
            400, f"the body is no event: {error}", 'send {"item_id": "...", "action": "click"}'
        ) from None
    checked_id("item_id", asked.item_id)
    if asked.action not in ASKED_ACTIONS:
        known = ", ".join(ASKED_ACTIONS)
        raise Problem(400, f"the action {asked.action[:20]!r} is unknown", f"use one of {known}")
    said: dict[str, Any] = {
        "user_id": user_id,
        "item_id": asked.item_id,
        "timestamp_ms": now_ms,
        "event_id": str(uuid4()),
    }
    key = user_id.encode()
    try:
        if asked.action == "purchase":
            return decode(Purchase, msgspec.json.encode(said), key=key, now_ms=now_ms)
        said["action"] = asked.action
        return decode(Click, msgspec.json.encode(said), key=key, now_ms=now_ms)
    except RejectedMessage as error:
        raise Problem(400, error.detail, None) from None


def stream_now(recommender: Recommender, now_ms: int) -> int:
    """The time of the stream, Unix ms: `now_ms`, or that of its newest event in a replay.

    For the engine's thread.
    """
    newest_ms = recommender.live.trends.now_ms
    return newest_ms if now_ms - newest_ms > REPLAY_MS else now_ms
