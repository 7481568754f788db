"""`stream-app produce`: send events from a file or standard input, one JSON object a line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click
import msgspec

from schemas import Click, Encoding, Purchase
from stream_app.cli.delivery import Deliveries
from stream_app.cli.options import connection_options, settings_from
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender


@click.command()
@connection_options
@click.option("--encoding", type=click.Choice(["msgpack", "json"]), default="msgpack")
@click.option("--rate", type=click.FloatRange(min=0), default=0, help="Events per second; 0: all.")
@click.argument("events", type=click.File(encoding="utf-8"), default="-")
def command(
    config: Path | None, encoding: Encoding, rate: float, events: TextIO, **flags: Any
) -> None:
    """Send EVENTS (a file of JSON lines, or `-`): a line with a quantity, a price or
    `"action": "purchase"` is a purchase, every other a click. A missing `timestamp_ms` is now.

    A line that is no valid event stops the command before it; what was sent before stays sent.
    Only events that the brokers have acknowledged are counted.
    """
    settings = settings_from(config, **flags)
    sent = asyncio.run(_send(settings, _parsed(events), encoding, rate))
    click.echo(f"sent {sent} events")


def parse_event(line: str, now_ms: int) -> Click | Purchase:
    """One event from a JSON object. Raises `ValueError` with what is wrong."""
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
        fields.setdefault("timestamp_ms", now_ms)
        bought = fields.get("action") == "purchase" or fields.keys() & {"quantity", "price"}
        if bought:
            fields.pop("action", None)
            return msgspec.convert(fields, Purchase)
        return msgspec.convert(fields, Click)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def _parsed(lines: TextIO) -> Iterator[Click | Purchase]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield parse_event(line, time.time_ns() // 1_000_000)
            except ValueError as error:
                raise UserError(f"{lines.name}, line {number}: {error}") from None


async def _send(
    settings: Settings, events: Iterator[Click | Purchase], encoding: Encoding, rate: float
) -> int:
    async with (
        event_sender(settings, encoding=encoding) as sender,
        Deliveries() as deliveries,
    ):
        began = time.monotonic()
        for number, event in enumerate(events):
            if rate:
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await deliveries.add(sender.send(event))
    return deliveries.acknowledged
