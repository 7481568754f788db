"""`python -m tests.faults --cycles N --seed S`: see the package."""

from __future__ import annotations

import logging
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path

import click

from stream_app.broker import EmbeddedKafka
from tests.faults import report, scenarios
from tests.faults.deck import FAULTS
from tests.faults.run import Plan, run, temporary_directory


@click.command()
@click.option("--cycles", default=20, show_default=True, help="Faults, one after another.")
@click.option("--seed", default=1, show_default=True, help="Of the load, the faults, their order.")
@click.option("--workers", default=3, show_default=True)
@click.option("--partitions", default=6, show_default=True)
@click.option("--rate", default=400.0, show_default=True, help="Messages per second.")
@click.option(
    "--scenario",
    type=click.Choice(sorted(scenarios.SCENARIOS)),
    default="faults",
    show_default=True,
    help="faults: all kinds; retention: source records are deleted once committed; "
    "stock: a control run with consumer and tables of stock Faust; stock-widened: the same with "
    "the window held open in which it loses events.",
)
@click.option("--only", multiple=True, help="Only faults whose name contains this.")
@click.option("--report", "path", type=click.Path(path_type=Path), help="FILE.md or FILE.json")
def main(
    cycles: int, seed: int, workers: int, partitions: int, rate: float, scenario: str,
    only: tuple[str, ...], path: Path | None,
) -> None:  # fmt: skip
    """Run workers under faults; exit code 1 when anything is lost, repeated or stuck."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and leave no worker behind
    command = "python -m tests.faults " + shlex.join(sys.argv[1:])
    plan = Plan(cycles, seed, workers, partitions, rate, say=click.echo)
    plan = scenarios.SCENARIOS[scenario](plan)
    if only:
        chosen = tuple(f for f in FAULTS if any(word in f.name for word in only))
        if not chosen:
            raise click.UsageError(f"no fault is called {only}: {[f.name for f in FAULTS]}")
        plan = replace(plan, faults=chosen)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker is away on purpose
    directory = temporary_directory()
    click.echo(f"logs of the workers: {directory}")
    with EmbeddedKafka() as kafka:
        result = run(plan, directory, kafka)
    click.echo(report.markdown(result, command))
    if path is not None:
        report.write(result, path, command)
    sys.exit(0 if result.ok else 1)


if __name__ == "__main__":
    main()
