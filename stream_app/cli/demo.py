"""`stream-app demo`: MovieLens through a real Kafka and a real worker, watched and audited."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import click

from schemas import DEFAULT_PARTITIONS
from stream_app.cli.delivery import kafka_errors
from stream_app.cli.exit_codes import FOUND
from stream_app.errors import UserError
from stream_app.observability import logging

EXAMPLE = Path(__file__).parents[2] / "examples" / "movielens"


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=EXAMPLE / "ml-latest-small",
              help="MovieLens directory.")  # fmt: skip
@click.option("--bundle", type=click.Path(path_type=Path), default=EXAMPLE / "bundle",
              help="Model release, trained on the first 80 % of the data.")  # fmt: skip
@click.option("--events", type=click.IntRange(min=1), help="Stream this many; default all.")
@click.option("--rate", type=click.FloatRange(min=1), default=200, show_default=True,
              help="Events per second.")  # fmt: skip
@click.option("--headless", is_flag=True, help="Draw nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one line of JSON.")
@click.option("--stay/--no-stay", default=None,
              help="At the end keep Kafka, worker and inspector until Ctrl-C. "
              "[default: in a terminal]")  # fmt: skip
def command(
    data: Path,
    bundle: Path,
    events: int | None,
    rate: float,
    headless: bool,
    as_json: bool,
    stay: bool | None,
) -> None:
    """Stream the last fifth of MovieLens in time order and watch recommendations change.

    The worker's inspector, a page in the browser, shows users, their lists with the reasons, and
    what becomes of a list when you click on something as that user.

    MovieLens holds ratings: 4 stars or more is sent as a purchase, any other as a click. The past
    of returning users is sent first and not measured. Ends with a summary; exits with 1 when an
    event was lost or applied twice, or when lists stopped coming.
    """
    require_example(data, bundle)
    try:
        from rich.console import Console

        from stream_app.demo.audit import audit
        from stream_app.demo.scenario import load_scenario
        from stream_app.demo.scores import Scores
        from stream_app.demo.session import session
        from stream_app.demo.shop import read_items
        from stream_app.demo.stream import Streamer
        from stream_app.demo.summary import print_summary, summarise
        from stream_app.demo.view import LiveView
    except ModuleNotFoundError as error:
        raise UserError(
            f"the demo needs {error.name}: pip install 'stream-app[demo]', or `make demo`"
        ) from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave nothing behind
    logging.set_up("error", user_ids=True)  # there are no people behind MovieLens's numbers here
    notes = Console(stderr=True, quiet=headless)
    notes.print("reading MovieLens, warming up the baselines ...")
    scenario = load_scenario(data, events)
    scores = Scores(scenario)
    notes.print("starting Kafka and a worker (the first time, Kafka is downloaded: 44 MB) ...")
    if stay is None:
        stay = not (headless or as_json) and sys.stdin.isatty() and sys.stdout.isatty()
    with session(bundle, DEFAULT_PARTITIONS, read_items(data)) as settings:
        inspector = f"http://{settings.inspector_host}:{settings.inspector_port}"
        notes.print(f"Inspector: {inspector}", style="bold")
        streamer = Streamer(settings, scenario, scores)
        console = Console(stderr=as_json)
        view = LiveView(console, scenario, streamer.progress)
        with nullcontext() if headless else view, kafka_errors("the demo lost its broker"):
            asyncio.run(streamer.run(rate, (lambda: None) if headless else view.tick))
        past, streamed = streamer.sent["history"], streamer.sent["stream"]
        found = asyncio.run(audit(settings, [*past, *streamed]))
        figures = summarise(streamer.progress, found, len(past))
        if as_json:
            click.echo(json.dumps(figures))
        elif not headless:
            print_summary(Console(), figures)
        if stay:
            click.echo(
                "commands: stream-app status "
                f"--bootstrap-servers {settings.bootstrap_servers} --app-id {settings.app_id}"
            )
            _stay(inspector)
    if streamer.progress.gave_up:
        click.echo(f"stream-app: error: {streamer.progress.gave_up}", err=True)
    if found.lost or found.duplicated or streamer.progress.gave_up:
        raise click.exceptions.Exit(FOUND)


def _stay(inspector: str) -> None:
    """Until Ctrl-C, or SIGTERM."""
    click.echo(f"Inspector: {inspector}   (Ctrl-C ends)")
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(0.5)  # a signal that comes right before a long sleep would wait for its end


def require_example(*paths: Path) -> None:
    """Refuse default paths that are not there: an installed package has no `examples`."""
    for path in paths:
        if path.is_relative_to(EXAMPLE) and not path.exists():
            raise UserError(
                f"{path}: not there, as it comes with a checkout of the repository and not with "
                "the package; run the demo from a checkout, or pass --data and --bundle"
            )
