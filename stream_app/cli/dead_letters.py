"""`stream-app dead-letters`: see what was rejected and why, and send it again once it is mended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from schemas import (
    DEAD_LETTERS,
    FIRST_APPENDED,
    DeadLetter,
    Reason,
    RejectedMessage,
    decode_output,
    topic_name,
)
from stream_app.cli.delivery import Deliveries
from stream_app.cli.options import connection_options, settings_from
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender, follower

REPLAYED_FROM = "replayed-from"
"""Header of a replayed record: topic, partition and offset of the first attempt."""


@click.group()
def command() -> None:
    """List or replay rejected messages."""


def _selection(function: Any) -> Any:
    for option in (
        click.option("--topic", help="Only records of this source topic."),
        click.option("--reason", type=click.Choice([reason.value for reason in Reason])),
    ):
        function = option(function)
    return connection_options(function)


@command.command(name="list")
@_selection
def list_(config: Path | None, reason: str | None, topic: str | None, **flags: Any) -> None:
    """Print every dead letter: reason, where it stood, what was wrong, and totals."""
    settings = settings_from(config, **flags)
    totals = asyncio.run(_list(settings, reason, topic))
    click.echo(f"{totals.total()} dead letters", err=True)
    for code, count in totals.most_common():
        click.echo(f"{count:8} {code}", err=True)


@command.command()
@_selection
@click.option("--dry-run", is_flag=True, help="Say what would be sent, send nothing.")
def replay(
    config: Path | None, reason: str | None, topic: str | None, dry_run: bool, **flags: Any
) -> None:
    """Send the original records to their topics again, with key, value and headers.

    Every selected record is sent each time: give events an `event_id` and a second replay changes
    nothing. What was cut because of its size is not sent.
    """
    settings = settings_from(config, **flags)
    sent, kept = asyncio.run(_replay(settings, reason, topic, dry_run))
    click.echo(f"{'would send' if dry_run else 'sent'} {sent} records, left {kept} that were cut")


@asynccontextmanager
async def _letters(
    settings: Settings, reason: str | None, topic: str | None
) -> AsyncIterator[AsyncIterator[DeadLetter]]:
    name = topic_name(settings.topic_prefix, DEAD_LETTERS)

    async def selected(records: Any) -> AsyncIterator[DeadLetter]:
        async for record in records.to_end():
            letter = _letter(record)
            if reason in (None, letter.reason) and topic in (None, letter.topic):
                yield letter

    async with follower(settings.bootstrap_servers, [name], from_start=True) as records:
        yield selected(records)


def _letter(record: Any) -> DeadLetter:
    try:
        return decode_output(DeadLetter, record.value)
    except RejectedMessage as error:
        place = f"{record.topic}/{record.partition}@{record.offset}"
        raise UserError(
            f"{place} is no dead letter ({error.detail}): something else writes to this topic"
        ) from None


async def _list(settings: Settings, reason: str | None, topic: str | None) -> Counter[str]:
    totals: Counter[str] = Counter()
    async with _letters(settings, reason, topic) as letters:
        async for letter in letters:
            totals[letter.reason] += 1
            where = f"{letter.topic}/{letter.partition}@{letter.offset}"
            click.echo(f"{letter.reason:20} {where:28} {letter.detail}")
    return totals


async def _replay(
    settings: Settings, reason: str | None, topic: str | None, dry_run: bool
) -> tuple[int, int]:
    selected = kept = 0
    async with (
        _letters(settings, reason, topic) as letters,
        event_sender(settings.bootstrap_servers, prefix=settings.topic_prefix) as sender,
        Deliveries() as deliveries,
    ):
        async for letter in letters:
            if letter.truncated:
                kept += 1
                continue
            selected += 1
            if not dry_run:
                origin = f"{letter.topic}/{letter.partition}@{letter.offset}".encode()
                appended = (FIRST_APPENDED, str(letter.timestamp_ms).encode())
                headers = (*letter.headers, (REPLAYED_FROM, origin), appended)
                await deliveries.add(
                    sender.send_raw(letter.topic, letter.key, letter.value, headers)
                )
    return selected if dry_run else deliveries.acknowledged, kept
