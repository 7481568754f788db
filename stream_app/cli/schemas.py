"""`stream-app schemas`: write the machine-readable contract, or check that it is current."""

from __future__ import annotations

from pathlib import Path

import click

from stream_app.cli.exit_codes import FOUND
from stream_app.cli.options import echo, echo_json, json_option

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
@json_option
def generate(directory: Path | None, as_json: bool) -> None:
    """Write asyncapi.yaml and json/ from the message structs and the topic list."""
    from schemas import contract

    written = [str(path) for path in contract.write_contract(directory or contract.DIRECTORY)]
    echo(as_json, {"written": written}, "\n".join(written))


@command.command()
@_directory
@json_option
def check(directory: Path | None, as_json: bool) -> None:
    """Fail if a generated file differs from what `generate` would write."""
    from schemas import contract

    stale = contract.stale_files(directory or contract.DIRECTORY)
    if as_json:
        echo_json({"stale": stale})
    for name in stale if not as_json else ():
        click.echo(f"{name} is not current; run `stream-app schemas generate`", err=True)
    if stale:
        raise click.exceptions.Exit(FOUND)
