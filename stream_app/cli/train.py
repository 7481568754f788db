"""`stream-app train`: events in, a bundle out."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream_app.datasets import EventTable, read_events, read_movielens
from stream_app.errors import UserError

if TYPE_CHECKING:
    from stream_app.training.job import Job

NEEDED = ("torch", "onnx", "onnxscript")


@click.command(name="train")
@click.option(
    "--movielens",
    type=click.Path(path_type=Path),
    help="A MovieLens directory with ratings.csv; 4 stars and more count as purchases.",
)
@click.option(
    "--events",
    type=click.Path(path_type=Path),
    help="A .csv or .jsonl file: user_id, item_id, timestamp_ms or timestamp (s), action.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle to write.")
@click.option("--replace", is_flag=True, help="Write over an existing bundle.")
@click.option("--name", default="model", show_default=True, help="Name of the release.")
@click.option("--version", default=None, help="Version of the release [default: the time].")
@click.option(
    "--created", default=None, help="ISO 8601 time to record [default: now]; for exact rebuilds."
)
@click.option(
    "--train-fraction",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Learn from this share of the events, by time; the rest is held out and replayed.",
)
@click.option("--until", type=click.DateTime(), help="Ignore events from this time (UTC) on.")
@click.option("--epochs", type=click.IntRange(1), default=40, show_default=True, help="At most.")
@click.option("--patience", type=click.IntRange(1), default=5, show_default=True)
@click.option("--dim", type=click.IntRange(2, 1024), default=64, show_default=True)
@click.option("--width", type=click.IntRange(2, 4096), default=128, show_default=True)
@click.option("--blocks", type=click.IntRange(1, 16), default=2, show_default=True)
@click.option("--dropout", type=click.FloatRange(0, 0.9), default=0.2, show_default=True)
@click.option("--learning-rate", type=float, default=2e-3, show_default=True)
@click.option("--temperature", type=click.FloatRange(0.01, 1), default=0.15, show_default=True)
@click.option(
    "--min-count",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Items seen less often get no vector; counts can still recommend them.",
)
@click.option(
    "--negatives",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Sampled softmax; 0: all items up to 20,000 of them, 1,024 negatives above.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(0), default=0, help="CPU threads [default: all].")
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Written after every epoch; a stopped run goes on from it.",
)
def command(**options: Any) -> None:
    """Train a gated linear recurrence on events and write it as a bundle.

    Shows a comparison with popularity, decayed popularity and first-order transition counts.
    """
    table = _read(options["movielens"], options["events"])
    if options["until"] is not None:
        until = options["until"].replace(tzinfo=UTC)
        table = table.before(int(until.timestamp() * 1000))
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"training needs {', '.join(missing)}, which a worker does not: "
            "pip install 'stream-app[train]'"
        )
    import torch

    from stream_app.training.job import run
    from stream_app.training.report import make_report

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    run(_job(table, options), make_report())


def _read(movielens: Path | None, events: Path | None) -> EventTable:
    if (movielens is None) == (events is None):
        raise click.UsageError("give either --movielens DIR or --events FILE")
    return read_movielens(movielens) if movielens is not None else read_events(events or Path())


def _job(table: EventTable, options: dict[str, Any]) -> Job:
    from stream_app.training.config import ModelConfig, TrainingConfig
    from stream_app.training.job import Job
    from stream_app.training.release import Label

    model = {name: options[name] for name in ("dim", "width", "blocks", "dropout")}
    training = {
        name: options[name]
        for name in (
            "epochs",
            "patience",
            "learning_rate",
            "temperature",
            "min_count",
            "negatives",
            "seed",
        )
    }
    version = options["version"] or datetime.now(UTC).strftime("%Y%m%d.%H%M%S")
    return Job(
        table=table,
        out=options["out"],
        label=Label(options["name"], version, options["created"]),
        config=TrainingConfig(model=ModelConfig(**model), **training),
        train_fraction=options["train_fraction"],
        replace=options["replace"],
        checkpoint=options["checkpoint"],
    )
