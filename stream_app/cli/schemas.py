"""`stream-app schemas`: write the machine-readable contract, or check that it is current."""

from __future__ import annotations

import sys
from pathlib import Path

import click

_directory = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the files are; the schemas package by default.",
)


@click.group(name="schemas")
def command() -> None:
    """The contract of the topics: asyncapi.yaml and JSON Schemas."""
    try:
        import schemas.contract  # noqa: F401 - it needs PyYAML, which a worker does not
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed; use `pip install stream-app[dev]`"
        ) from error


@command.command()
@_directory
def generate(directory: Path | None) -> None:
    """Write asyncapi.yaml and json/ from the message structs and the topic list."""
    from schemas import contract

    for path in contract.write_contract(directory or contract.DIRECTORY):
        click.echo(path)


@command.command()
@_directory
def check(directory: Path | None) -> None:
    """Fail if a generated file differs from what `generate` would write."""
    from schemas import contract

    stale = contract.stale_files(directory or contract.DIRECTORY)
    for name in stale:
        click.echo(f"{name} is not current; run `stream-app schemas generate`", err=True)
    sys.exit(1 if stale else 0)
