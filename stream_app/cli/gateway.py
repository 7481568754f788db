"""`stream-app gateway`: events in and lists out over HTTP."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import click

from stream_app.cli.delivery import kafka_errors
from stream_app.cli.options import connection_options, log_options, settings_from, trace_options
from stream_app.gateway import serve
from stream_app.guard import Guard, token_in
from stream_app.observability import logging
from stream_app.secret import Secret

TOKEN_VARIABLE = "STREAM_APP_GATEWAY_TOKEN"  # noqa: S105 - its name


@click.command()
@connection_options
@log_options
@trace_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True,
              help="0 picks a free one.")  # fmt: skip
@click.option("--token-file", type=click.Path(path_type=Path),
              help=f"File with the token of callers; or set {TOKEN_VARIABLE}.")  # fmt: skip
def command(
    config: Path | None, host: str, port: int, token_file: Path | None, **flags: Any
) -> None:
    """Take events and give lists over HTTP, for programs without a Kafka client.

    Any number may run, anywhere: they keep nothing. Stops on SIGTERM or SIGINT. docs/gateway.md has
    the addresses.
    """
    settings = settings_from(config, **flags)
    logging.set_up(settings.log_level, settings.log_format, app_id=settings.app_id)
    guard = Guard(
        host,
        _token(token_file),
        f"Set a token by --token-file or {TOKEN_VARIABLE}, or leave --host at 127.0.0.1",
    )

    def ready(address: str) -> None:
        click.echo(f"serving {address}   (Ctrl-C stops it)")

    with kafka_errors("the lists cannot be read any more"):
        asyncio.run(serve(settings, guard, host, port, ready))


def _token(file: Path | None) -> Secret:
    if file is None:
        return Secret(os.environ.get(TOKEN_VARIABLE, ""))
    return token_in(file, "--token-file")
