"""`stream-app worker`: consume events, keep users' state, publish fresh lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stream_app.cli.options import settings_from, worker_options


@click.command()
@worker_options
def command(config: Path | None, **flags: Any) -> None:
    """Consume clicks and purchases, publish a fresh ranked list per user and batch.

    Stops orderly on SIGTERM or SIGINT. Any number of workers share the partitions. Every option
    can also come from the environment or a TOML file; the README has the table.
    """
    # Here, so that a shell that completes the options does not wait for Faust.
    from agents import worker
    from stream_app.observability import logging

    settings = settings_from(config, **flags)
    logging.set_up(
        settings.log_level,
        settings.log_format,
        user_ids=settings.log_user_ids,
        app_id=settings.app_id,
    )
    worker.run(settings)
