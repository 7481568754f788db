"""`stream-app train`: events in, a bundle out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream_app.cli.options import CONNECTION, connection_flags, echo_json, json_option, meanwhile
from stream_app.datasets import AUTO, FORMATS, EventTable
from stream_app.errors import UserError
from stream_app.training.settings_file import as_toml, load_config, training_settings

if TYPE_CHECKING:
    from schemas import Item
    from stream_app.training.config import TrainingConfig
    from stream_app.training.job import Job
    from stream_app.training.texts import ItemTexts

NEEDED = ("torch", "onnx", "onnxscript")
PATH = click.Path(path_type=Path)


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for every field of `training.config`; without a default, to tell if given."""
    for setting in reversed(training_settings()):
        flag = setting.flag
        if setting.kind is bool:
            flag += f"/--no-{flag.removeprefix('--')}"
        command = click.option(
            flag,
            type=setting.kind,
            default=None,
            help=f"{setting.about}  [default: {setting.default}]",
        )(command)
    return command


@click.command(name="train")
@click.option("--data", type=PATH, help="A data set; see --format.")
@click.option(
    "--format",
    type=click.Choice([AUTO, *FORMATS]),
    help="What --data is: events (.csv, .jsonl or .parquet with user_id, item_id, timestamp_ms or "
    "timestamp (s), action), a data set by its name, or sequences (lines `user item`).  "
    "[default: auto, which looks]",
)
@click.option("--movielens", type=PATH, help="The same as --format movielens --data.")
@click.option("--events", type=PATH, help="The same as --format events --data.")
@click.option("--from-topics", is_flag=True, help="Read the clicks and purchases that Kafka holds.")
@click.option(
    "--since",
    metavar="WHEN",
    help="Only events from this time on: 30d, 12h, ISO 8601 (UTC), or Unix ms.",
)
@click.option("--until", metavar="WHEN", help="Only events from before this time, as --since.")
@click.option("--erased", type=PATH, help="File of users to leave out, an id a line.")
@click.option(
    "--max-bad",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Bad records of a file that are passed over before reading ends with an error.",
)
@click.option(
    "--texts",
    type=PATH,
    help="What items say of themselves: .csv or .jsonl with item_id and text, or movies.csv.",
)
@click.option(
    "--text-encoder", type=PATH, help="With --texts: directory of `stream-app text-encoder export`."
)
@click.option(
    "--items",
    type=PATH,
    help="With --ranker: what producers say of items, as `stream-app produce --items` takes it; "
    "their prices, and since when they are on offer, are features.",
)
@click.option("--out", type=PATH, help="The bundle to write.")
@click.option("--replace", is_flag=True, help="Write over an existing bundle.")
@click.option("--name", default="model", show_default=True, help="Name of the release.")
@click.option("--version", default=None, help="Version of the release  [default: the time].")
@click.option(
    "--created", default=None, help="ISO 8601 time to record  [default: now]; for exact rebuilds."
)
@click.option(
    "--train-fraction",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Learn from this share of the events, by time; the rest is held out and replayed.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Written after every epoch; a stopped run goes on from it.",
)
@click.option("--tensorboard", type=PATH, help="Directory for TensorBoard logs.")
@click.option("--threads", type=click.IntRange(0), default=0, help="CPU threads  [default: all].")
@click.option("--config", type=PATH, help="TOML or YAML file with any of the settings below.")
@click.option("--print-config", is_flag=True, help="Print all of them as TOML, and end.")
@training_options
@click.option("--settings", type=PATH, help="With --from-topics: TOML settings of workers.")
@connection_flags
@json_option
def command(as_json: bool, **options: Any) -> None:
    """Train an encoder on events and write it as a bundle.

    Shows a comparison with popularity, decayed popularity and first-order transition counts.
    docs/training.md goes through it step by step.
    """
    config = load_config(options["config"], options)
    if options["print_config"]:
        click.echo(as_toml(config), nl=False)
        return
    if options["out"] is None:
        raise click.UsageError("give --out DIRECTORY")
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"training needs {', '.join(missing)}, which a worker does not: "
            "pip install 'stream-app[train]'"
        )
    if options["items"] is not None and config.ranker == "none":
        raise click.UsageError("--items is read by a ranker; give --ranker linear or moe with it")
    import torch

    from stream_app.cli.train_data import read_items, read_table, read_texts
    from stream_app.training.job import run
    from stream_app.training.report import open_report

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    with meanwhile(as_json), open_report(options["tensorboard"], as_toml(config)) as report:
        table = read_table(options, {name: options[name] for name in CONNECTION}, report)
        texts = read_texts(options, table, report, unseen=config.unseen_items)
        items = read_items(options["items"], table)
        manifest = run(_job(table, texts, items, config, options), report)
    if as_json:
        echo_json({"bundle": str(options["out"]), "manifest": manifest})


def _job(
    table: EventTable,
    texts: ItemTexts | None,
    items: tuple[Item, ...],
    config: TrainingConfig,
    options: Mapping[str, Any],
) -> Job:
    from stream_app.training.job import Job
    from stream_app.training.release import Label

    version = options["version"] or datetime.now(UTC).strftime("%Y%m%d.%H%M%S")
    return Job(
        table=table,
        out=options["out"],
        label=Label(options["name"], version, options["created"]),
        config=config,
        train_fraction=options["train_fraction"],
        replace=options["replace"],
        checkpoint=options["checkpoint"],
        texts=texts,
        items=items,
    )
