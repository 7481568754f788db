"""`stream-app health`: the health check of a container, which has neither curl nor wget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stream_app.cli.exit_codes import FOUND
from stream_app.cli.options import echo_json, json_option, metrics_options, settings_from
from stream_app.observability.health import ask


@click.command()
@metrics_options
@click.argument("what", type=click.Choice(["live", "ready"]), default="ready")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=3,
              show_default=True, help="Seconds to wait for the answer.")  # fmt: skip
@json_option
def command(config: Path | None, what: str, timeout: float, as_json: bool, **flags: Any) -> None:
    """Ask the worker on this machine whether it is `live` or `ready` (the default).

    Prints what it says and exits with 0 if it is, with 1 if it is not or does not answer. Takes
    address and port from the settings of the worker. docs/metrics.md says what the two mean.
    """
    passed, said = ask(settings_from(config, **flags), what, timeout)
    if as_json:
        echo_json({"check": what, "passed": passed, "said": said})
    else:
        click.echo(said, err=not passed)
    if not passed:
        raise click.exceptions.Exit(FOUND)
