"""`stream-app worker`: consume events, keep users' state, publish fresh lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agents import worker
from stream_app.cli.options import connection_options, settings_from
from stream_app.observability import logging


@click.command()
@connection_options
@click.option("--bundle", help="Directory of the model release to serve.")
@click.option("--list-length", type=int, help="Items per recommendation.")
@click.option("--output-encoding", type=click.Choice(["msgpack", "json"]))
@click.option("--metrics-port", type=int, help="Port of metrics and health; 0 picks a free one.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
def command(config: Path | None, **flags: Any) -> None:
    """Consume clicks and purchases, publish a fresh ranked list per user and batch.

    Stops orderly on SIGTERM or SIGINT. Any number of workers share the partitions. Every setting
    of the README's table can also come from the environment or a TOML file.
    """
    settings = settings_from(config, **flags)
    logging.set_up(settings.log_level)
    worker.run(settings)
