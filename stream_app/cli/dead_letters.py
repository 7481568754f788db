"""`stream-app dead-letters`: see what was rejected and why, and send it again once it is mended."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import click
import msgspec

from schemas import (
    DEAD_LETTERS,
    FIRST_APPENDED,
    IMPRESSIONS,
    ITEMS,
    DeadLetter,
    Impression,
    Reason,
    RejectedMessage,
    decode_output,
    topic_name,
)
from stream_app.cli.dead_letter_file import (
    Replay,
    as_it_was,
    origin_of,
    read_corrected,
    to_line,
)
from stream_app.cli.delivery import Deliveries, kafka_errors
from stream_app.cli.options import connection_options, echo, echo_json, json_option, settings_from
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.clients import event_sender, follower
from stream_app.streaming.replays import already_replayed, replayed_header
from stream_app.streaming.topics import source_topics


@click.group()
def command() -> None:
    """List, export or replay rejected messages."""


def _selection(function: Any) -> Any:
    for option in (
        click.option("--topic", help="Only records of this source topic."),
        click.option("--reason", type=click.Choice([reason.value for reason in Reason])),
    ):
        function = option(function)
    return connection_options(function)


@command.command(name="list")
@_selection
@json_option
def list_(
    config: Path | None, reason: str | None, topic: str | None, as_json: bool, **flags: Any
) -> None:
    """Print every dead letter: reason, where it stood, what was wrong, and totals."""
    settings = settings_from(config, **flags)
    found = asyncio.run(_list(settings, reason, topic, show=not as_json))
    totals = Counter(letter.reason for letter in found)
    if as_json:
        echo_json({"dead_letters": found, "by_reason": dict(totals.most_common())})
        return
    click.echo(f"{totals.total()} dead letters", err=True)
    for code, count in totals.most_common():
        click.echo(f"{count:8} {code}", err=True)


@command.command()
@_selection
def export(config: Path | None, reason: str | None, topic: str | None, **flags: Any) -> None:
    """Print dead letters as lines of JSON, to be corrected in an editor and replayed.

    A value is shown decoded where it can be: {"json": ...}, {"msgpack": ...}, {"text": ...} or
    {"base64": ...}. Correct `key`, `value` and `headers`, delete the lines that are not worth it.
    """
    settings = settings_from(config, **flags)
    count = asyncio.run(_export(settings, reason, topic))
    click.echo(f"{count} dead letters", err=True)


@command.command()
@click.argument("file", type=click.File("rb"), required=False)
@_selection
@click.option("--dry-run", is_flag=True, help="Say what would be sent, send nothing.")
@click.option(
    "--never-before",
    is_flag=True,
    help="None of these was replayed before, though the source topics no longer reach back so far.",
)
@json_option
def replay(
    config: Path | None,
    file: BinaryIO | None,
    reason: str | None,
    topic: str | None,
    dry_run: bool,
    never_before: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Send corrected records of FILE (from `export`), or without FILE the original ones.

    Each is sent once, also when this is run again or was interrupted: what stands in the source
    topics already is left out. A corrected record must be valid; if one is not, none is sent.
    Without FILE, what was cut because of its size is not sent.
    """
    settings = settings_from(config, **flags)
    if file is not None and (reason or topic):
        raise click.UsageError("--reason and --topic select from the topic; FILE says it all")
    with kafka_errors("replaying dead letters"):
        done = asyncio.run(_replay(settings, file, reason, topic, dry_run, never_before))
    echo(
        as_json,
        {"dry_run": dry_run, **done._asdict()},
        f"{'would send' if dry_run else 'sent'} {done.sent} records, "
        f"left {done.before} that were sent before and {done.cut} that were cut",
    )


@asynccontextmanager
async def _letters(
    settings: Settings, reason: str | None, topic: str | None
) -> AsyncIterator[AsyncIterator[tuple[DeadLetter, int]]]:
    """The selected dead letters, each with the time at which it was written (Unix ms)."""
    name = topic_name(settings.topic_prefix, DEAD_LETTERS)

    async def selected(records: Any) -> AsyncIterator[tuple[DeadLetter, int]]:
        async for record in records.to_end():
            letter = _letter(record)
            if reason in (None, letter.reason) and topic in (None, letter.topic):
                yield letter, record.timestamp

    async with follower(settings, [name], from_start=True) as records:
        yield selected(records)


def _letter(record: Any) -> DeadLetter:
    try:
        return decode_output(DeadLetter, record.value)
    except RejectedMessage as error:
        place = f"{record.topic}/{record.partition}@{record.offset}"
        raise UserError(
            f"{place} is no dead letter ({error.detail}): something else writes to this topic"
        ) from None


class _Listed(msgspec.Struct):
    reason: str
    topic: str
    partition: int
    offset: int
    detail: str


async def _list(
    settings: Settings, reason: str | None, topic: str | None, *, show: bool
) -> list[_Listed]:
    found = []
    async with _letters(settings, reason, topic) as letters:
        async for letter, _ in letters:
            one = _Listed(
                letter.reason, letter.topic, letter.partition, letter.offset, letter.detail
            )
            found.append(one)
            if show:
                where = f"{one.topic}/{one.partition}@{one.offset}"
                click.echo(f"{one.reason:20} {where:28} {one.detail}")
    return found


async def _export(settings: Settings, reason: str | None, topic: str | None) -> int:
    count = 0
    async with _letters(settings, reason, topic) as letters:
        async for letter, rejected_ms in letters:
            count += 1
            click.echo(to_line(letter, rejected_ms))
    return count


class _Done(NamedTuple):
    sent: int
    before: int
    """Found in the source topics, so not sent again."""
    cut: int


async def _replay(
    settings: Settings,
    file: BinaryIO | None,
    reason: str | None,
    topic: str | None,
    dry_run: bool,
    never_before: bool,
) -> _Done:
    cut = 0
    if file is not None:
        now_ms = time.time_ns() // 1_000_000
        impressions = topic_name(settings.topic_prefix, IMPRESSIONS)
        kinds = {**source_topics(settings), impressions: Impression}
        replays = read_corrected(file, kinds, now_ms)
    else:
        replays, cut = await _originals(settings, reason, topic)
    before = await _sent_before(settings, replays, never_before)
    waiting = [one for one in replays if one.origin not in before]
    if dry_run:
        return _Done(len(waiting), len(replays) - len(waiting), cut)
    async with (
        event_sender(settings) as sender,
        Deliveries() as deliveries,
    ):
        for one in waiting:
            appended = (FIRST_APPENDED, str(one.appended_ms).encode())
            headers = (*one.headers, replayed_header(one.origin), appended)
            await deliveries.add(sender.send_raw(one.topic, one.key, one.value, headers))
    return _Done(deliveries.acknowledged, len(replays) - len(waiting), cut)


async def _originals(
    settings: Settings, reason: str | None, topic: str | None
) -> tuple[list[Replay], int]:
    """The selected records of users as they were, and the number of those that were cut."""
    items = topic_name(settings.topic_prefix, ITEMS)
    replays: dict[str, Replay] = {}
    cut = set()
    async with _letters(settings, reason, topic) as letters:
        async for letter, rejected_ms in letters:
            origin = origin_of(letter)
            if letter.topic == items:
                continue  # it would stand behind what is right by now, and replace it
            if letter.truncated:
                cut.add(origin)
            elif origin not in replays:  # a worker that died may have written a letter twice
                replays[origin] = as_it_was(letter, rejected_ms)
    return list(replays.values()), len(cut)


async def _sent_before(settings: Settings, replays: list[Replay], never_before: bool) -> set[str]:
    since: dict[str, int] = {}
    for one in replays:
        since[one.topic] = min(since.get(one.topic, one.rejected_ms), one.rejected_ms)
    if not since:
        return set()
    return await already_replayed(settings, since, trust_gaps=never_before)
