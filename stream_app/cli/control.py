"""What the commands for topics of operators share: files as messages, sending, and what holds."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from schemas import RejectedMessage, Topic, encode, topic_name
from stream_app.cli.delivery import Deliveries, kafka_errors
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender
from stream_app.streaming.compacted import Decode, read_compacted

Message = TypeVar("Message", bound=msgspec.Struct)


def read_files(
    files: Sequence[Path], decode: Decode[Message], key: str
) -> list[tuple[str, Message]]:
    """The messages of TOML or JSON files, one each, with their names from the field `key`.

    Raises UserError for a file that holds none.
    """
    return [_read(file, decode, key) for file in files]


def send(settings: Settings, topic: Topic, said: Iterable[tuple[str, Message | None]]) -> int:
    """Write messages under their names, None to withdraw; returns how many were acknowledged."""
    with kafka_errors(f"{topic.name} could not be written"):
        return asyncio.run(_send(settings, topic_name(settings.topic_prefix, topic), said))


def current(
    settings: Settings, topic: Topic, decode: Decode[Message]
) -> tuple[dict[str, Message], list[str]]:
    """What the topic says now by name, and what is wrong with records that are passed over."""
    with kafka_errors(f"{topic.name} could not be read"):
        found, wrong = asyncio.run(read_compacted(settings, topic, decode))
    return {name: message for name, message in found.items() if message is not None}, wrong


def fields_of(file: Path) -> dict[str, object]:
    """What a TOML or JSON file says, not yet a message. Raises UserError."""
    return _text_and_fields(file)[1]


def _text_and_fields(file: Path) -> tuple[str, dict[str, object]]:
    """A file as JSON text, of a JSON file as it stands, and its fields. Raises UserError."""
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".toml":
            text = msgspec.json.encode(tomllib.loads(text)).decode()
        return text, msgspec.json.decode(text, type=dict[str, object])
    except OSError as error:
        raise UserError(error.strerror or str(error)) from None
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{error}; write TOML (*.toml) or JSON") from None


def _read(file: Path, decode: Decode[Message], key: str) -> tuple[str, Message]:
    try:
        text, fields = _text_and_fields(file)
        # The text, not the fields: a key that is there twice is refused.
        found, message = decode(text.strip().encode(), key=str(fields.get(key, "")).encode())
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    except RejectedMessage as error:
        raise UserError(f"{file}: {error.detail}") from None
    assert message is not None
    return found, message


async def _send(settings: Settings, topic: str, said: Iterable[tuple[str, Message | None]]) -> int:
    async with event_sender(settings) as sender, Deliveries() as deliveries:
        for name, message in said:
            value = None if message is None else encode(message, "json")
            await deliveries.add(sender.send_raw(topic, name.encode(), value))
    return deliveries.acknowledged
