"""`stream-app tail`: follow a topic and print its messages as JSON lines."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec

from schemas import TOPICS
from stream_app.cli.options import connection_options, settings_from
from stream_app.settings import Settings
from stream_app.streaming.clients import follower


@click.command()
@connection_options
@click.option("--topic", default="recommendations", show_default=True,
              type=click.Choice([topic.name for topic in TOPICS]))  # fmt: skip
@click.option("--user", help="Only records of this user.")
@click.option("--from-start", is_flag=True, help="Everything that the topic holds, then follow.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many messages.")
def command(
    config: Path | None,
    topic: str,
    user: str | None,
    from_start: bool,
    count: int | None,
    **flags: Any,
) -> None:
    """Print the messages of a topic as they arrive, until Ctrl-C."""
    settings = settings_from(config, **flags)
    with suppress(KeyboardInterrupt, BrokenPipeError):
        asyncio.run(_tail(settings, topic, user, from_start, count))


async def _tail(
    settings: Settings, topic: str, user: str | None, from_start: bool, count: int | None
) -> None:
    name = settings.topic_prefix + topic
    wanted = user.encode() if user else None
    left = count
    async with follower(settings, [name], from_start=from_start) as records:
        while left is None or left > 0:
            for record in await records.poll():
                if wanted is None or record.key == wanted:
                    click.echo(printable(record.value))
                    left = None if left is None else left - 1
                    if left == 0:
                        break


def printable(value: bytes | None) -> str:
    """A message of any encoding as one line of JSON; what cannot be decoded, quoted."""
    if value is None:
        return "null"
    try:
        decoded = msgspec.json.decode(value) if value[:1] == b"{" else msgspec.msgpack.decode(value)
        return msgspec.json.encode(decoded).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return repr(value)
