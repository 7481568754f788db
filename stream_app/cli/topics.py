"""`stream-app topics`: make the topics that a worker needs, or say what is wrong with them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from schemas import DEFAULT_PARTITIONS
from stream_app.cli.options import connection_options, echo, json_option, settings_from
from stream_app.streaming import topics
from stream_app.streaming.retention import problems, read_configs, refuse_unsafe


@click.group()
def command() -> None:
    """Create or check the topics."""


@command.command()
@connection_options
@click.option("--partitions", default=DEFAULT_PARTITIONS, show_default=True, help="Of each topic.")
@click.option("--replication", default=1, show_default=True, help="Copies of each partition.")
@json_option
def create(
    config: Path | None, partitions: int, replication: int, as_json: bool, **flags: str | None
) -> None:
    """Create every topic that does not exist yet; existing ones are left as they are."""
    settings = settings_from(config, **flags)
    made = asyncio.run(topics.create(settings, partitions, replication))
    echo(as_json, made, "\n".join(f"{outcome:8} {name}" for name, outcome in made.items()))


@command.command()
@connection_options
@json_option
def check(config: Path | None, as_json: bool, **flags: str | None) -> None:
    """Exit with an error unless a worker could start."""
    settings = settings_from(config, **flags)
    partitions = asyncio.run(topics.check(settings))
    found = asyncio.run(read_configs(settings))
    refuse_unsafe(settings, found)
    warnings = [str(problem) for problem in problems(settings, found)]
    if not as_json:
        for warning in warnings:
            click.echo(f"warning: {warning}", err=True)
    said = f"all topics are there, {partitions} partitions keyed by user"
    echo(as_json, {"partitions": partitions, "warnings": warnings}, said)


@command.command(name="list")
@connection_options
@json_option
def list_(config: Path | None, as_json: bool, **flags: str | None) -> None:
    """Show the topics that exist, with their partitions."""
    found = dict(sorted(asyncio.run(topics.describe(settings_from(config, **flags))).items()))
    text = "\n".join(f"{count:4} {name}" for name, count in found.items())
    echo(as_json, found, text or "no topic of this installation exists")
