"""What `stream-app train` learns from: files or topics, without those who were erased."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Set
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream_app.cli.delivery import kafka_errors
from stream_app.cli.options import settings_from
from stream_app.datasets import AUTO, DatasetError, EventTable, TableBuilder, open_dataset
from stream_app.verify.scope import parse_since

if TYPE_CHECKING:
    from stream_app.training.report import Report

FILES = {"data": None, "movielens": "movielens", "events": "events"}
"""Options that name a file, and the format that each stands for."""


def read_table(options: Mapping[str, Any], flags: Mapping[str, Any], report: Report) -> EventTable:
    """The events that the options of `stream-app train` ask for; `flags` say where Kafka is.

    Raises `UserError` for what cannot be read, and a usage error for options that do not go
    together.
    """
    given = [name for name in FILES if options[name] is not None]
    if len(given) + options["from_topics"] != 1:
        raise click.UsageError(
            "give one of --data PATH, --movielens DIR, --events FILE and --from-topics"
        )
    now_ms = time.time_ns() // 1_000_000
    since_ms, until_ms = (
        None if options[name] is None else parse_since(options[name], now_ms)
        for name in ("since", "until")
    )
    erased = read_users(options["erased"]) if options["erased"] else frozenset()
    if options["from_topics"]:
        return _from_topics(options, flags, report, erased, since_ms, until_ms)
    name = given[0]
    table = _from_file(
        options[name], FILES[name] or options["format"] or AUTO, options, report, erased
    )
    if since_ms is not None:
        table = table.since(since_ms)
    if until_ms is not None:
        table = table.before(until_ms)
    if not len(table):
        raise DatasetError(
            f"{table.source}: holds no event of the time between --since and --until"
        )
    return table


def read_users(file: Path) -> frozenset[str]:
    """User ids of a file with one on each line. Raises `DatasetError`."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DatasetError(f"{file}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file}: not UTF-8 ({error})") from None
    return frozenset(line for line in lines if line.strip())


def _from_file(
    path: Path, format: str, options: Mapping[str, Any], report: Report, erased: Set[str]
) -> EventTable:
    report.stage(f"Reading {path}")

    def tell(read: TableBuilder) -> None:
        for reason in read.reasons:
            report.note(f"passed over {reason}")
        if read.rejected > len(read.reasons):
            report.note(f"... {read.rejected:,} bad records in all")
        if erased:
            report.note(f"{read.left_out:,} events of erased users left out")

    table = open_dataset(
        path,
        format,
        max_bad=options["max_bad"],
        erased=erased,
        on_progress=lambda done: report.note(f"{done:,} events"),
        on_rejected=tell,
    )
    report.note(_size(table))
    return table


def _from_topics(
    options: Mapping[str, Any],
    flags: Mapping[str, Any],
    report: Report,
    erased: Set[str],
    since_ms: int | None,
    until_ms: int | None,
) -> EventTable:
    # Kafka clients are imported where they are used: files are read without them.
    from stream_app.streaming.past_events import ALWAYS_MS, add_past_events

    settings = settings_from(options["settings"], **flags)
    into = TableBuilder("topics clicks and purchases", erased=erased)
    report.stage(f"Reading the topics of {settings.bootstrap_servers}")
    with ExitStack() as stack, kafka_errors("the topics could not be read"):
        shown: list[Any] = []  # a bar needs the total, which the first records tell

        def tell(done: int, total: int) -> None:
            if not shown:
                shown.append(stack.enter_context(report.bar(total)))
            shown[0](done)

        read = asyncio.run(
            add_past_events(
                settings,
                into,
                since_ms=since_ms or 0,
                until_ms=ALWAYS_MS if until_ms is None else until_ms,
                on_records=tell,
            )
        )
    for count, what in (
        *((count, f"rejected: {reason}") for reason, count in sorted(read.rejected.items())),
        (read.duplicates, "with an event id that came before"),
        (read.erased + into.left_out, "of erased users left out"),
        (read.outside, "of another time than was asked for"),
    ):
        if count:
            report.note(f"{count:,} {what}")
    table = into.table()
    report.note(_size(table))
    return table


def _size(table: EventTable) -> str:
    return f"{len(table):,} events, {len(table.user_ids):,} users, {len(table.item_ids):,} items"
