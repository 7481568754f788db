"""Options that several commands share: where Kafka is, which settings file, how much to log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from stream_app.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def connection_options(command: Command) -> Command:
    """Add the options that `settings_from` reads; each can also be set by environment or file."""
    for option in reversed(
        (
            click.option("--config", type=click.Path(path_type=Path), help="TOML settings file."),
            click.option("--bootstrap-servers", help="Kafka brokers, host:port,host:port."),
            click.option("--app-id", help="Consumer group and prefix of the state topics."),
            click.option("--topic-prefix", help="Put before every topic name."),
        )
    ):
        command = option(command)
    return command


def settings_from(config: Path | None, **flags: Any) -> Settings:
    """Settings from flags, environment and file. Raises `SettingsError`."""
    return Settings.load(flags, file=config)
