"""`stream-app health`: the health check of a container, which has neither curl nor wget."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any

import click

from stream_app.cli.options import metrics_options, settings_from
from stream_app.errors import UserError
from stream_app.settings import Settings

ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only read
"""Where a worker that listens everywhere is asked from its own machine."""


@click.command()
@metrics_options
@click.argument("what", type=click.Choice(["live", "ready"]), default="ready")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=3,
              show_default=True, help="Seconds to wait for the answer.")  # fmt: skip
def command(config: Path | None, what: str, timeout: float, **flags: Any) -> None:
    """Ask the worker on this machine whether it is `live` or `ready` (the default).

    Prints what it says and exits with 0 if it is, with 1 if it is not or does not answer. Takes
    address and port from the settings of the worker. docs/metrics.md says what the two mean.
    """
    passed, said = ask(settings_from(config, **flags), what, timeout)
    click.echo(said, err=not passed)
    if not passed:
        raise click.exceptions.Exit(1)


def ask(settings: Settings, what: str, timeout_s: float) -> tuple[bool, str]:
    """Whether `/health/<what>` answers with 200, and its text or why there is none.

    Raises `UserError` when the settings leave the port to chance.
    """
    if settings.metrics_port == 0:
        raise UserError("metrics_port is 0, so the worker chose a port that nobody knows: set one")
    host = ANY_ADDRESS.get(settings.metrics_host, settings.metrics_host)
    connection = http.client.HTTPConnection(host, settings.metrics_port, timeout=timeout_s)
    try:
        connection.request("GET", f"/health/{what}")
        response = connection.getresponse()
        said = response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return False, f"no answer from {host}:{settings.metrics_port}: {error or repr(error)}"
    finally:
        connection.close()
    return response.status == http.client.OK, said
