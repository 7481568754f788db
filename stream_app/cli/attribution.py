"""`stream-app attribution`: what became of lists, by source, rank, release and arm."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from stream_app.attribution import Report, Row, Window, attribute
from stream_app.attribution.clusters import Rate, in_percent
from stream_app.attribution.off_policy import CLIP, OffPolicy, OffPolicyReport, Target, read_target
from stream_app.cli.delivery import kafka_errors
from stream_app.cli.options import connection_options, settings_from
from stream_app.errors import UserError
from stream_app.verify.scope import parse_since


@click.command()
@connection_options
@click.option("--since", default="1d", show_default=True,
              help="Lists from then on: 90m, 2h, 7d ago, Unix ms or ISO 8601.")  # fmt: skip
@click.option("--until", help="Lists before then; now by default.")
@click.option("--off-policy", is_flag=True,
              help="Also say what other lists would have been worth, from places left to chance: "
              "those of --target, or the same ones without chance.")  # fmt: skip
@click.option("--target", type=click.Path(dir_okay=False, path_type=Path),
              help="File of lists that a policy would make, one JSON object a line.")  # fmt: skip
@click.option("--clip", type=click.FloatRange(min=1), default=CLIP, show_default=True,
              help="Largest weight of a place.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    config: Path | None,
    since: str,
    until: str | None,
    off_policy: bool,
    target: Path | None,
    clip: float,
    as_json: bool,
    **flags: Any,
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
    judged = OffPolicy(_target(target), clip) if off_policy or target else None
    with kafka_errors("the topics could not be read"):
        report = asyncio.run(
            attribute(
                settings, Window(since_ms, until_ms), observe=judged.observe if judged else None
            )
        )
    if judged is not None:
        name = "without chance" if target is None else f"of {target.name}"
        report = msgspec.structs.replace(report, off_policy=judged.report(report.per, name))
    click.echo(msgspec.json.encode(report).decode() if as_json else as_text(report))


def _target(file: Path | None) -> Target | None:
    if file is None:
        return None
    try:
        with file.open("rb") as lines:
            return read_target(lines)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


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
    if report.off_policy is not None:
        lines += ["", *_off_policy_lines(report.off_policy)]
    return "\n".join(lines)


def _off_policy_lines(report: OffPolicyReport) -> list[str]:
    lines = [
        f"off-policy, lists {report.target}: {report.places:,} places {report.per} of "
        f"{report.users:,} users, as much as {report.effective:,.0f} without weights; mean weight "
        f"{_number(report.weight)}, {report.clipped:,} clipped at {report.clip:g}",
        f"{'':14}  {'as made':>22}  {'IPS':>22}  {'self-normalised':>22}",
    ]
    for name, judged in (("click rate", report.click), ("purchase rate", report.purchase)):
        rates = (judged.logged, judged.ips, judged.snips)
        lines.append(f"{name:14}" + "".join(f"  {in_percent(rate):>22}" for rate in rates))
    return lines + [f"warning: {warning}" for warning in report.warnings]


def _number(rate: Rate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return "-"
    return f"{rate.value:.3f} [{rate.low:.3f}, {rate.high:.3f}]"


def _name(row: Row) -> str:
    return f"{row.dimension} {row.name}".strip()
