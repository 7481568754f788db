"""`stream-app produce`: send events, items or profiles, read as one JSON object a line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click
import msgspec

from schemas import (
    Click,
    Encoding,
    Item,
    Profile,
    Purchase,
    RejectedMessage,
    decode_item,
    decode_profile,
)
from stream_app.cli.delivery import Deliveries
from stream_app.cli.options import (
    connection_options,
    echo,
    json_option,
    settings_from,
    trace_options,
)
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.clients import EventSender, event_sender

Listing = tuple[str, Item | None]
"""Item id and what is said of it; None delists it."""
Said = tuple[str, Profile | None]
"""User id and what is said of the user; None withdraws it."""
Parsed = TypeVar("Parsed")
Queue = Callable[[EventSender, Any], Coroutine[Any, Any, Any]]
"""Hands one of the parsed lines to the sender."""


@click.command()
@connection_options
@trace_options
@click.option("--encoding", type=click.Choice(["msgpack", "json"]), default="msgpack")
@click.option("--rate", type=click.FloatRange(min=0), default=0, help="Events per second; 0: all.")
@click.option("--items", is_flag=True, help="The lines are items of the catalogue, not events.")
@click.option("--profiles", is_flag=True, help="The lines say something of users.")
@click.argument("events", type=click.File(encoding="utf-8"), default="-")
@json_option
def command(
    config: Path | None,
    encoding: Encoding,
    rate: float,
    items: bool,
    profiles: bool,
    events: TextIO,
    as_json: bool,
    **flags: Any,
) -> None:
    """Send EVENTS (a file of JSON lines, or `-`): a line with a quantity, a price or
    `"action": "purchase"` is a purchase, every other a click. A missing `timestamp_ms` is now.

    With --items a line is what there is to say of an item, `{"item_id": ..., "title": ...}`, in
    place of what was said before; `{"item_id": ..., "delisted": true}` takes it out of the
    catalogue. With --profiles it is what there is to say of a user, `{"user_id": ..., "text": ...,
    "attributes": {...}}`; `{"user_id": ..., "withdrawn": true}` takes that back.

    A line that is no valid event stops the command before it; what was sent before stays sent.
    Only events that the brokers have acknowledged are counted.
    """
    settings = settings_from(config, **flags)
    if items and profiles:
        raise UserError("a file holds items or profiles: give --items or --profiles, not both")
    parse: Callable[[str], Any] = _parse_event_of_now
    queue: Queue = _queue_event
    if items:
        parse, queue = parse_item, _queue_item
    elif profiles:
        parse, queue = parse_profile, _queue_profile
    sent = asyncio.run(_send(settings, parsed(events, parse), queue, encoding, rate))
    kind = "items" if items else "profiles" if profiles else "events"
    echo(as_json, {"kind": kind, "sent": sent}, f"sent {sent} {kind}")


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


def parse_item(line: str) -> Listing:
    """What a JSON object says of an item. Raises `ValueError` with what is wrong."""
    return _parse_keyed(
        line, "item_id", "delisted", "of a delisted item nothing is said", decode_item
    )


def parse_profile(line: str) -> Said:
    """What a JSON object says of a user. Raises `ValueError` with what is wrong."""
    return _parse_keyed(
        line, "user_id", "withdrawn", "a withdrawn profile says nothing", decode_profile
    )


def _parse_keyed(
    line: str, key: str, gone: str, nothing: str, decode: Callable[..., Parsed]
) -> Parsed:
    """A JSON object with its `key`; with `gone` true it stands for a null value."""
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    name = fields.get(key)
    if not isinstance(name, str):
        raise ValueError(f"`$.{key}` is missing, or no text")
    if fields.get(gone) is True:
        if others := fields.keys() - {key, gone}:
            raise ValueError(f"{nothing}, but here {min(others)!r} is")
        return decode(None, key=name.encode())
    return decode(line.strip().encode(), key=name.encode())


def _parse_event_of_now(line: str) -> Click | Purchase:
    return parse_event(line, time.time_ns() // 1_000_000)


def parsed(lines: TextIO, parse: Callable[[str], Parsed]) -> Iterator[Parsed]:
    """What `parse` makes of each line that is not empty; UserError names one that it refuses."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield parse(line)
            except RejectedMessage as rejected:
                raise UserError(f"{lines.name}, line {number}: {rejected.detail}") from None
            except ValueError as error:
                raise UserError(f"{lines.name}, line {number}: {error}") from None


async def _send(
    settings: Settings,
    events: Iterator[Any],
    queue: Queue,
    encoding: Encoding,
    rate: float,
) -> int:
    async with (
        event_sender(settings, encoding=encoding, service="stream-app-produce") as sender,
        Deliveries() as deliveries,
    ):
        began = time.monotonic()
        for number, event in enumerate(events):
            if rate:
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await deliveries.add(queue(sender, event))
    return deliveries.acknowledged


async def _queue_event(sender: EventSender, event: Click | Purchase) -> Any:
    return await sender.send(event)


async def _queue_item(sender: EventSender, listing: Listing) -> Any:
    return await sender.send_item(*listing)


async def _queue_profile(sender: EventSender, said: Said) -> Any:
    return await sender.send_profile(*said)
