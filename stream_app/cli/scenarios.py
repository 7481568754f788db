"""`stream-app scenarios`: say how lists are made, while workers run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from schemas import SCENARIOS, decode_scenario
from stream_app.cli import control
from stream_app.cli.options import (
    check_id,
    connection_options,
    echo,
    echo_json,
    json_option,
    settings_from,
)
from stream_app.errors import UserError
from stream_app.plan import Plan
from stream_app.scenarios import plan_of

FILES = click.argument(
    "files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path)
)


@click.group()
def command() -> None:
    """Change how lists are made, without a restart: sources, filters, weights, objectives."""


@command.command()
@connection_options
@FILES
@json_option
def put(config: Path | None, files: tuple[Path, ...], as_json: bool, **flags: Any) -> None:
    """Publish the scenario of each of FILES (TOML or JSON), in place of what it said before."""
    settings = settings_from(config, **flags)
    said = control.read_files(files, decode_scenario, "name")
    for file, (_, scenario) in zip(files, said, strict=True):
        try:
            plan_of(scenario, Plan())
        except UserError as error:
            raise UserError(f"{file}: {error}") from None
    control.send(settings, SCENARIOS, said)
    text = "\n".join(f"scenario {name}: published" for name, _ in said)
    echo(as_json, {"published": [scenario for _, scenario in said]}, text)


@command.command("list")
@connection_options
@json_option
def list_command(config: Path | None, as_json: bool, **flags: Any) -> None:
    """Print the scenarios that hold now, one JSON object a line; with --json one document."""
    found, wrong = control.current(settings_from(config, **flags), SCENARIOS, decode_scenario)
    scenarios = [scenario for _, scenario in sorted(found.items())]
    if as_json:
        echo_json({"scenarios": scenarios, "passed_over": wrong})
        return
    for scenario in scenarios:
        echo_json(scenario)
    for problem in wrong:
        click.echo(f"passed over: {problem}", err=True)


@command.command()
@connection_options
@click.argument("names", nargs=-1, required=True)
@json_option
def withdraw(config: Path | None, names: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Withdraw scenarios: lists are made as the settings of the workers say."""
    settings = settings_from(config, **flags)
    for name in names:
        check_id("NAME", name)
    control.send(settings, SCENARIOS, ((name, None) for name in names))
    text = "\n".join(f"scenario {name}: withdrawn" for name in names)
    echo(as_json, {"withdrawn": names}, text)
