"""`stream-app topics`: make the topics that a worker needs, or say what is wrong with them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from schemas import DEFAULT_PARTITIONS
from stream_app.cli.options import connection_options, settings_from
from stream_app.streaming import topics
from stream_app.streaming.retention import problems, read_configs, refuse_unsafe


@click.group()
def command() -> None:
    """Create or check the topics."""


@command.command()
@connection_options
@click.option("--partitions", default=DEFAULT_PARTITIONS, show_default=True, help="Of each topic.")
@click.option("--replication", default=1, show_default=True, help="Copies of each partition.")
def create(config: Path | None, partitions: int, replication: int, **flags: str | None) -> None:
    """Create every topic that does not exist yet; existing ones are left as they are."""
    settings = settings_from(config, **flags)
    for name, outcome in asyncio.run(topics.create(settings, partitions, replication)).items():
        click.echo(f"{outcome:8} {name}")


@command.command()
@connection_options
def check(config: Path | None, **flags: str | None) -> None:
    """Exit with an error unless a worker could start."""
    settings = settings_from(config, **flags)
    partitions = asyncio.run(topics.check(settings))
    found = asyncio.run(read_configs(settings))
    refuse_unsafe(settings, found)
    for problem in problems(settings, found):
        click.echo(f"warning: {problem}", err=True)
    click.echo(f"all topics are there, {partitions} partitions keyed by user")


@command.command(name="list")
@connection_options
def list_(config: Path | None, **flags: str | None) -> None:
    """Show the topics that exist, with their partitions."""
    for name, count in sorted(asyncio.run(topics.describe(settings_from(config, **flags))).items()):
        click.echo(f"{count:4} {name}")
