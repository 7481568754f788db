"""`stream-app verify`: check that nothing was lost, doubled or left without an answer."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path
from typing import Any, TextIO

import click
import msgspec

from stream_app.cli.delivery import kafka_errors
from stream_app.cli.exit_codes import FOUND
from stream_app.cli.options import connection_options, settings_from
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.streaming.topics import source_topics
from stream_app.verify import Scope, verify
from stream_app.verify.erased import verify_erased
from stream_app.verify.progress import Meter
from stream_app.verify.scope import EXAMPLES, parse_partitions, parse_since
from stream_app.verify.table import as_text

_COLLECT_EVERY = 1_000_000
"""New objects between two garbage collections. A check makes no cycles to speak of, and looking for
them again and again in what it keeps takes a third of its time."""


@click.command()
@connection_options
@click.option(
    "--settled",
    is_flag=True,
    help="Nothing is produced and all is done: every event counts, lag must be 0.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Also object to a key whose last changelog record is a former owner's.",
)
@click.option("--partitions", metavar="0,3", help="Only these partition numbers.")
@click.option(
    "--since",
    metavar="WHEN",
    help="Only events appended since: 15m, 2h, 1d, Unix ms, or ISO 8601 (UTC).",
)
@click.option("--max-events", type=click.IntRange(min=1), help="Only about the newest N events.")
@click.option(
    "--examples",
    type=click.IntRange(min=0),
    default=EXAMPLES,
    show_default=True,
    help="Findings of a kind that are described.",
)
@click.option("--show-users", is_flag=True, help="Name users instead of hashing them.")
@click.option(
    "--erased",
    multiple=True,
    metavar="USER",
    help="Instead, look whether anything of this erased user is left.",
)
@click.option(
    "--erased-file", type=click.File(encoding="utf-8"), help="The same for many, an id a line."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def command(
    config: Path | None,
    settled: bool,
    strict: bool,
    partitions: str | None,
    since: str | None,
    max_events: int | None,
    examples: int,
    show_users: bool,
    erased: tuple[str, ...],
    erased_file: TextIO | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Check rows, lists, dead letters and commits against the source topics; read-only.

    Exit code 0: consistent; 1: something was found; 2: wrong options, settings or topics; 3: no
    broker answers.
    """
    settings = settings_from(config, **flags)
    users = [*erased, *_lines(erased_file)]
    if erased_file is not None and not users:
        raise UserError(f"{erased_file.name} names no user; write one on each line")
    if users:
        _verify_erased(settings, users, as_json)
        return
    scope = Scope(
        settled=settled,
        strict=strict,
        partitions=None if partitions is None else parse_partitions(partitions),
        since_ms=None if since is None else parse_since(since, time.time_ns() // 1_000_000),
        max_events=max_events,
        examples=examples,
        show_users=show_users,
    )
    gc.set_threshold(_COLLECT_EVERY)
    with kafka_errors("the check was broken off"), Meter(source_topics(settings)) as meter:
        report = asyncio.run(verify(settings, scope, meter.count))
    click.echo(msgspec.json.encode(report.as_dict()).decode() if as_json else as_text(report))
    if not report.ok:
        raise click.exceptions.Exit(FOUND)


def _lines(file: TextIO | None) -> list[str]:
    return [] if file is None else [line.rstrip("\r\n") for line in file if line.strip()]


def _verify_erased(settings: Settings, users: list[str], as_json: bool) -> None:
    doing = "the check was broken off"
    with kafka_errors(doing), Meter(source_topics(settings)) as meter:
        traces = asyncio.run(verify_erased(settings, users, meter.count))
    if as_json:
        click.echo(msgspec.json.encode([found.as_dict() for found in traces]).decode())
    else:
        click.echo("\n".join(found.as_text() for found in traces))
    if not all(found.gone for found in traces):
        raise click.exceptions.Exit(FOUND)
