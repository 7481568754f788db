"""`stream-app attribution`: what became of lists, by source, rank, release and arm."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from stream_app.attribution import Report, Row, Window, attribute
from stream_app.attribution.clusters import in_percent
from stream_app.cli.delivery import kafka_errors
from stream_app.cli.options import connection_options, settings_from
from stream_app.errors import UserError
from stream_app.verify.scope import parse_since


@click.command()
@connection_options
@click.option("--since", default="1d", show_default=True,
              help="Lists from then on: 90m, 2h, 7d ago, Unix ms or ISO 8601.")  # fmt: skip
@click.option("--until", help="Lists before then; now by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    config: Path | None, since: str, until: str | None, as_json: bool, **flags: Any
) -> None:
    """Join clicks, purchases and impressions to the lists that they answer, by `rec_id`.

    Reads what the topics hold and commits nothing. docs/attribution.md says what the rates are.
    """
    settings = settings_from(config, **flags)
    now_ms = time.time_ns() // 1_000_000
    since_ms = parse_since(since, now_ms)
    until_ms = now_ms if until is None else parse_since(until, now_ms)
    if since_ms >= until_ms:
        raise UserError(f"--since {since} is not before --until {until or 'now'}")
    with kafka_errors("the topics could not be read"):
        report = asyncio.run(attribute(settings, Window(since_ms, until_ms)))
    click.echo(msgspec.json.encode(report).decode() if as_json else as_text(report))


def as_text(report: Report) -> str:
    """The report as a table."""
    lines = [f"{report.lists:,} lists of {report.users:,} users; rates per item {report.per}"]
    if report.rows:
        width = max(len(_name(row)) for row in report.rows)
        lines.append(f"{'':{width}}  {'made':>9}  {'shown':>9}  {'clicked':>8}  {'bought':>7}  "
                     f"{'click rate':>22}  {'purchase rate':>22}")  # fmt: skip
        lines += [
            f"{_name(row):{width}}  {row.made:9,}  {row.shown:9,}  {row.clicked:8,}  "
            f"{row.bought:7,}  {in_percent(row.click_rate):>22}  "
            f"{in_percent(row.purchase_rate):>22}"
            for row in report.rows
        ]
    lines += [f"not joined, {why}: {count:,}" for why, count in report.unmatched.items()]
    if report.rejected:
        lines.append(f"records that are no messages: {report.rejected:,}")
    return "\n".join(lines)


def _name(row: Row) -> str:
    return f"{row.dimension} {row.name}".strip()
