"""Reads a compacted topic whole: what it says now of every key; read-only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from schemas import RejectedMessage, Topic, topic_name
from stream_app.settings import Settings
from stream_app.streaming.clients import follower

Message = TypeVar("Message")
Decode = Callable[..., tuple[str, Message | None]]
"""`decode(value, key=key)`: the name of a record and its message, or `RejectedMessage`."""


async def read_compacted(
    settings: Settings, topic: Topic, decode: Decode[Message]
) -> tuple[dict[str, Message | None], list[str]]:
    """The last valid record of every name, in the order of their last records; None is withdrawn.

    Also where records are that are passed over, and what is wrong with them. Raises as `follower`.
    """
    full = topic_name(settings.topic_prefix, topic)
    found: dict[str, Message | None] = {}
    wrong: list[str] = []
    async with follower(settings, [full], from_start=True) as records:
        async for record in records.to_end():
            try:
                name, message = decode(record.value, key=record.key)
            except RejectedMessage as error:
                wrong.append(f"{full}/{record.partition}@{record.offset}: {error.detail}")
                continue
            found.pop(name, None)
            found[name] = message
    return found, wrong
