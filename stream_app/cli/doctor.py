"""`stream-app doctor`: what is wrong with a cluster or this machine, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stream_app.cli.exit_codes import FOUND
from stream_app.cli.options import echo_json, json_option, settings_from, worker_options
from stream_app.doctor.examine import NAMES, examine
from stream_app.doctor.finding import Finding, Report


@click.command()
@worker_options
@click.option("--check", "only", multiple=True, type=click.Choice(NAMES),
              help="Only this one; repeatable.  [default: all]")  # fmt: skip
@json_option
def command(config: Path | None, only: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Examine the brokers and this machine as a worker with these settings would find them.

    Changes nothing, and writes no record. Says of everything that it finds what it is, why it
    matters and how to mend it. Exits with 0 if nothing was found, with 1 otherwise. Needs the
    rights of a worker and DescribeConfigs on the topics; docs/operators.md lists the checks.
    """
    report = examine(settings_from(config, **flags), only or NAMES)
    if as_json:
        echo_json(report)
    else:
        click.echo(as_text(report))
    if not report.healthy:
        raise click.exceptions.Exit(FOUND)


def as_text(report: Report) -> str:
    """A report as paragraphs, errors first."""
    ordered = sorted(report.findings, key=lambda one: one.severity)
    lines = [line for finding in ordered for line in (*_paragraph(finding), "")]
    lines.append(f"checked      {', '.join(report.checked)}")
    lines += [f"not checked  {name}: {why}" for name, why in report.not_checked.items()]
    errors = sum(one.severity == "error" for one in report.findings)
    warnings = len(report.findings) - errors
    lines.append(
        "nothing was found"
        if report.healthy
        else f"found {_count(errors, 'error')} and {_count(warnings, 'warning')}"
    )
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _paragraph(finding: Finding) -> list[str]:
    lines = [
        f"{finding.severity}: {finding.check}: {finding.what}",
        f"  why  {finding.why}",
        f"  fix  {finding.fix}",
    ]
    if finding.command is not None:
        lines.append(f"       {finding.command}")
    return lines
