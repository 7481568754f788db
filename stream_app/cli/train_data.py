"""What `stream-app train` learns from: files or topics, without those who were erased."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Set
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from schemas import Item
from stream_app.cli.delivery import kafka_errors
from stream_app.cli.options import settings_from
from stream_app.datasets import AUTO, DatasetError, EventTable, TableBuilder, open_dataset
from stream_app.datasets.lines import open_text
from stream_app.datasets.texts import read_item_texts
from stream_app.text import TextEncoder
from stream_app.verify.scope import parse_since

if TYPE_CHECKING:
    from stream_app.training.report import Report
    from stream_app.training.texts import ItemTexts

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
        table = _from_topics(options, flags, report, erased, since_ms, until_ms)
    else:
        name = given[0]
        format = FILES[name] or options["format"] or AUTO
        table = _from_file(options[name], format, options, report, erased)
        table = _of_time(table, since_ms, until_ms)
    report.note(
        f"{len(table):,} events of {len(np.unique(table.users)):,} users on "
        f"{len(np.unique(table.items)):,} items{_days(table)}"
    )
    return table


def _of_time(table: EventTable, since_ms: int | None, until_ms: int | None) -> EventTable:
    """The events from `since_ms` to before `until_ms`. Raises `DatasetError` if there is none."""
    if since_ms is until_ms is None:
        return table
    if not table.timed:
        raise DatasetError(f"{table.source}: has no times, so --since and --until mean nothing")
    if since_ms is not None:
        table = table.since(since_ms)
    if until_ms is not None:
        table = table.before(until_ms)
    if not len(table):
        raise DatasetError(
            f"{table.source}: holds no event of the time between --since and --until"
        )
    return table


def _days(table: EventTable) -> str:
    if not table.timed:
        return ", without times"
    first, last = (
        datetime.fromtimestamp(int(table.timestamps_ms[at]) / 1000, UTC) for at in (0, -1)
    )
    return f", {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def read_texts(
    options: Mapping[str, Any], table: EventTable, report: Report, *, unseen: bool
) -> ItemTexts | None:
    """The texts that the options of `stream-app train` ask for, as vectors.

    Those of the items of `table`, and with `unseen` those of all items. Raises `UserError` for
    what cannot be read, and a usage error for options that do not go together.
    """
    file, directory = options["texts"], options["text_encoder"]
    if (file is None) != (directory is None):
        raise click.UsageError(
            "--texts and --text-encoder go together; make an encoder with "
            "`stream-app text-encoder export --out DIR`"
        )
    if file is None:
        return None
    from stream_app.training.texts import ItemTexts

    report.stage(f"Reading the texts of {file}")
    encoder = TextEncoder.load(directory)
    texts = read_item_texts(file)
    seen = set(table.item_ids)
    encoded = ItemTexts.encode(
        texts,
        encoder,
        wanted=None if unseen else seen,
        on_progress=lambda done: report.note(f"{done:,} texts"),
    )
    report.note(f"{len(seen.intersection(encoded.ids)):,} of {len(seen):,} items have a text")
    return encoded


def read_items(file: Path | None, table: EventTable) -> tuple[Item, ...]:
    """What a file, as `stream-app produce --items` takes it, says of items with an event.

    Raises `UserError` for a line that is no item.
    """
    if file is None:
        return ()
    from stream_app.cli.produce import parse_item, parsed

    seen = set(table.item_ids)
    with open_text(file) as lines:
        said = dict(parsed(lines, parse_item))  # the last line about an item counts
    return tuple(item for item_id, item in said.items() if item is not None and item_id in seen)


def read_users(file: Path) -> frozenset[str]:
    """User ids of a file with one on each line. Raises `DatasetError`."""
    try:
        # Only line ends end a line: an id may hold what `splitlines` takes for one as well.
        lines = file.read_text(encoding="utf-8-sig").split("\n")
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

    return open_dataset(
        path,
        format,
        max_bad=options["max_bad"],
        erased=erased,
        on_progress=lambda done: report.note(f"{done:,} events"),
        on_rejected=tell,
    )


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
    return into.table()
