"""What the commands for topics of operators share: files as messages, sending, and what holds."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from schemas import RejectedMessage, Topic, encode, topic_name
from stream_app.cli.delivery import Deliveries, kafka_errors
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender, follower

Message = TypeVar("Message", bound=msgspec.Struct)
Decode = Callable[..., tuple[str, Message | None]]
"""`decode(value, key=key)`: the name of a record and its message, or `RejectedMessage`."""


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
        return asyncio.run(_current(settings, topic_name(settings.topic_prefix, topic), decode))


def fields_of(file: Path) -> dict[str, object]:
    """What a TOML or JSON file says, not yet a message. Raises UserError."""
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".toml":
            return tomllib.loads(text)
        return msgspec.json.decode(text, type=dict[str, object])
    except OSError as error:
        raise UserError(error.strerror or str(error)) from None
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{error}; write TOML (*.toml) or JSON") from None


def _read(file: Path, decode: Decode[Message], key: str) -> tuple[str, Message]:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".toml":
            text = msgspec.json.encode(tomllib.loads(text)).decode()
        name = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get(key)
        found, message = decode(
            text.strip().encode(), key=msgspec.json.decode(name or b'""', type=str).encode()
        )
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    except RejectedMessage as error:
        raise UserError(f"{file}: {error.detail}") from None
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: {error}; write TOML (*.toml) or JSON") from None
    assert message is not None
    return found, message


async def _send(settings: Settings, topic: str, said: Iterable[tuple[str, Message | None]]) -> int:
    async with event_sender(settings) as sender, Deliveries() as deliveries:
        for name, message in said:
            value = None if message is None else encode(message, "json")
            await deliveries.add(sender.send_raw(topic, name.encode(), value))
    return deliveries.acknowledged


async def _current(
    settings: Settings, topic: str, decode: Decode[Message]
) -> tuple[dict[str, Message], list[str]]:
    found: dict[str, Message] = {}
    wrong: list[str] = []
    async with follower(settings, [topic], from_start=True) as records:
        async for record in records.to_end():
            try:
                name, message = decode(record.value, key=record.key)
            except RejectedMessage as error:
                wrong.append(f"{topic}/{record.partition}@{record.offset}: {error.detail}")
                continue
            found.pop(name, None)
            if message is not None:
                found[name] = message
    return found, wrong
