"""`stream-app status`: how an installation is doing, from its topics and its group."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from stream_app.cli.delivery import kafka_errors
from stream_app.cli.exit_codes import FOUND
from stream_app.cli.options import connection_options, echo_json, json_option, settings_from
from stream_app.cli.params import Address
from stream_app.errors import UserError
from stream_app.settings import Settings
from stream_app.status.gather import look
from stream_app.status.report import Status
from stream_app.status.text import as_text


@click.command()
@connection_options
@click.option("--metrics", multiple=True, type=Address(),
              help="Ask the worker at this metrics port as well; repeatable.")  # fmt: skip
@click.option("--late", type=click.FloatRange(min=0, min_open=True), default=60, show_default=True,
              help="Seconds that a record may wait before it is a problem.")  # fmt: skip
@click.option("--watch", type=click.FloatRange(min=0.5), metavar="SECONDS",
              help="Look again and again, until Ctrl-C; with --json a line each.")  # fmt: skip
@json_option
def command(
    config: Path | None,
    metrics: tuple[str, ...],
    late: float,
    watch: float | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Show the workers' group, how far behind they are, how fresh lists are, and which release
    made them; read-only.

    Exits with 1 unless all is well: no worker, a group that moves, partitions without a worker,
    records that wait too long or were lost, a worker of --metrics that is not ready.
    docs/operators.md explains every line.
    """
    settings = settings_from(config, **flags)
    if watch is None:
        status = _look(settings, metrics, late)
        _print(status, as_json)
        if not status.well:
            raise click.exceptions.Exit(FOUND)
        return
    with suppress(KeyboardInterrupt, BrokenPipeError):
        while True:
            try:
                _print(_look(settings, metrics, late), as_json, clear=True)
            except UserError as error:  # what is watched may come back
                click.echo(f"stream-app: error: {error}", err=True)
            time.sleep(watch)


def _look(settings: Settings, metrics: tuple[str, ...], late_s: float) -> Status:
    with kafka_errors("the installation could not be looked at"):
        return asyncio.run(look(settings, metrics, late_s))


def _print(status: Status, as_json: bool, *, clear: bool = False) -> None:
    if as_json:
        echo_json(status)
        return
    if clear:
        click.clear()  # does nothing where the output is no terminal
    click.echo(as_text(status))
