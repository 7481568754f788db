"""`stream-app evaluate`: several recommenders, the same questions, intervals and a report."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream_app.cli.options import echo_json, meanwhile
from stream_app.cli.params import Named, ObjectivesText
from stream_app.datasets import AUTO, FORMATS, EventTable, open_dataset, read_movielens_genres
from stream_app.datasets.formats import detect
from stream_app.errors import UserError
from stream_app.evaluation.alike import by_categories
from stream_app.evaluation.exchange import write_questions
from stream_app.evaluation.methods import Method
from stream_app.evaluation.page import write_page
from stream_app.evaluation.plots import check_matplotlib
from stream_app.evaluation.progress import Progress, make_progress
from stream_app.evaluation.protocols import (
    LEAVE_ONE_OUT,
    PROTOCOLS,
    REPLAY,
    TIME_SPLIT,
    Split,
    leave_one_out,
    replay_split,
    sample_users,
    time_split,
)
from stream_app.evaluation.registry import BASELINES, make_baseline
from stream_app.evaluation.result import Estimate, Result, write_json
from stream_app.evaluation.run import Contest, LiveMethod, run

if TYPE_CHECKING:
    from stream_app.training.config import TrainingConfig

KINDS = ("recurrent", "gru", "transformer")
"""Encoders trained for the evaluation, as `training.config.ModelConfig.kind`."""
RECOMMENDER = "recommender"
BUNDLE = "bundle"
METHODS = (*BASELINES, *KINDS, RECOMMENDER)
SHOWN = ("ndcg", "hr", "mrr", "coverage")
BESIDE = ("novelty", "diversity")
"""Shown too where objectives are compared."""
STDOUT = Path("-")
FILE = click.Path(path_type=Path)


@click.command(name="evaluate")
@click.option("--data", type=FILE, required=True, help="A data set: a file or a directory.")
@click.option("--format", type=click.Choice([AUTO, *FORMATS]), default=AUTO, show_default=True)
@click.option("--protocol", type=click.Choice(PROTOCOLS), default=LEAVE_ONE_OUT, show_default=True)
@click.option(
    "--methods",
    default="popular,transitions",
    show_default=True,
    help=f"Names with commas: {', '.join(METHODS)}; or none.",
)
@click.option("--config", type=FILE, help="Training settings for encoders (TOML).")
@click.option(
    "--trained", type=Named(), multiple=True, help="Also an encoder trained with other settings."
)
@click.option("--bundle", type=FILE, help="Also a finished bundle; not for leave-one-out.")
@click.option(
    "--objectives", type=ObjectivesText(), multiple=True,
    help="In a replay: also the bundle with these, such as 'diversity=2 purchase=5'.",
)  # fmt: skip
@click.option("--lists", type=Named(), multiple=True, help="Also lists from elsewhere.")
@click.option(
    "--k", type=click.IntRange(1, 1000), multiple=True, default=(10,), show_default=True,
    help="Length of lists; methods are compared at the first.",
)  # fmt: skip
@click.option(
    "--repeats/--no-repeats",
    default=False,
    show_default=True,
    help="Whether items that a user had may be recommended, and wanted, again.",
)
@click.option(
    "--test-share", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.2,
    show_default=True, help="Of the events, the newest, in a time split or replay.",
)  # fmt: skip
@click.option(
    "--validation-share", type=click.FloatRange(0, 1, max_open=True), default=0.1,
    show_default=True, help="Of the events before them, the newest.",
)  # fmt: skip
@click.option("--basket", is_flag=True, help="In a time split: ask once for all later items.")
@click.option("--users", type=click.IntRange(1), help="Ask so many users, drawn at random.")
@click.option("--out", type=FILE, help="The report to write, HTML.")
@click.option("--json", "json_file", type=FILE, help="The result to write, JSON; - is stdout, "
              "and what is shown meanwhile goes to stderr.")  # fmt: skip
@click.option(
    "--write-lists", type=FILE, help="A directory for the lists of each method, NAME.jsonl."
)
@click.option("--write-questions", type=FILE, help="A directory for recommenders from elsewhere.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="Of everything random; given, it also replaces the seed in settings of encoders.  "
    "[default: 0]",
)
@click.option("--threads", type=click.IntRange(0), default=0, help="CPU threads [default: all].")
def command(**options: Any) -> None:
    """Ask several recommenders the same questions and compare their lists.

    See docs/evaluation.md for the protocols, the metrics and the files.
    """
    if options["json_file"] != STDOUT:
        _evaluate(options)
        return
    with meanwhile(as_json=True):
        result = _evaluate(options | {"json_file": None})
    echo_json(result)


def _evaluate(options: dict[str, Any]) -> Result | None:
    """What came out; None where there was nothing to compare."""
    names = _names(options)
    for file in (options["out"], options["json_file"]):
        _check_writable(file)
    _check_directory(options["write_lists"])
    if options["out"] is not None:
        check_matplotlib()
    progress = make_progress()
    table = open_dataset(options["data"], options["format"])
    split = _split(table, options)
    progress.stage(
        f"{table.source}: {len(table):,} events; {len(split.test):,} questions ({split.protocol})"
    )
    if options["write_questions"] is not None:
        write_questions(split, options["write_questions"])
        progress.note(f"wrote the questions to {options['write_questions']}")
    contest = _contest(split, names, options, progress)
    if not contest.methods and not contest.files:
        return None
    result = run(contest, progress)
    _show(result, progress, (*SHOWN, *BESIDE) if options["objectives"] else SHOWN)
    if options["json_file"] is not None:
        write_json(result, options["json_file"])
    if options["out"] is not None:
        write_page(result, options["out"])
        progress.note(f"wrote {options['out']}")
    return result


def _check_writable(file: Path | None) -> None:
    """A comparison can take an hour: a path that cannot be written is refused before it."""
    if file is None:
        return
    if file.is_dir() or not file.parent.is_dir():
        raise click.UsageError(f"{file} cannot be written: give a file in a directory that exists")


def _check_directory(directory: Path | None) -> None:
    if directory is not None and directory.exists() and not directory.is_dir():
        raise click.UsageError(f"{directory} is not a directory")


def _names(options: dict[str, Any]) -> list[str]:
    """The methods asked for; raises `UsageError` before anything is read."""
    given = [name.strip() for name in options["methods"].split(",") if name.strip()]
    names = [] if given == ["none"] else given
    for name in names:
        if name not in METHODS:
            raise click.UsageError(f"no method {name!r}; there are {', '.join(METHODS)}")
    every = [*names, *(name for name, _ in (*options["trained"], *options["lists"]))]
    every += [BUNDLE] if options["bundle"] else []
    every += [f"{BUNDLE} {text}" for text, _ in options["objectives"]]
    if twice := sorted({name for name in every if every.count(name) > 1}):
        raise click.UsageError(f"two methods are called {', '.join(twice)}; give other names")
    if not every and options["write_questions"] is None:
        raise click.UsageError("nothing to evaluate; give --methods, --bundle or --lists")
    if RECOMMENDER in names and options["protocol"] != REPLAY:
        raise click.UsageError(f"{RECOMMENDER} needs --protocol {REPLAY}: it learns from a stream")
    if options["objectives"] and not (options["bundle"] and options["protocol"] == REPLAY):
        raise click.UsageError(f"--objectives needs --bundle and --protocol {REPLAY}")
    if options["basket"] and options["protocol"] != TIME_SPLIT:
        raise click.UsageError(f"--basket needs --protocol {TIME_SPLIT}")
    return names


def _split(table: EventTable, options: dict[str, Any]) -> Split:
    protocol, repeats = options["protocol"], options["repeats"]
    if protocol == LEAVE_ONE_OUT:
        split = leave_one_out(table, repeats=repeats)
    else:
        shares = {name: options[name] for name in ("test_share", "validation_share")}
        if protocol == REPLAY:
            split = replay_split(table, repeats=repeats, **shares)
        else:
            split = time_split(table, repeats=repeats, basket=options["basket"], **shares)
    return (
        sample_users(split, options["users"], options["seed"] or 0) if options["users"] else split
    )


def _contest(
    split: Split, names: Sequence[str], options: dict[str, Any], progress: Progress
) -> Contest:
    k, seed, threads = max(options["k"]), options["seed"] or 0, options["threads"]
    methods: list[Method | LiveMethod] = [
        make_baseline(name, split.protocol, k=k, seed=seed, threads=threads)
        for name in names
        if name in BASELINES
    ]
    trained = [name for name in names if name not in BASELINES]
    if trained or options["trained"]:
        methods += _trained(trained, k, options, progress)
    if options["bundle"] is not None:
        methods += _bundled(split, k, options)
    vectors = None
    if (options["format"] if options["format"] != AUTO else detect(options["data"])) == "movielens":
        vectors = by_categories(split.table.item_ids, read_movielens_genres(options["data"]))
    return Contest(
        split,
        methods,
        files=dict(options["lists"]),
        ks=options["k"],
        vectors=vectors,
        diversity_by="users" if vectors is None else "categories",
        seed=seed,
        lists_to=options["write_lists"],
    )


def _trained(
    names: Sequence[str], k: int, options: dict[str, Any], progress: Progress
) -> list[Method | LiveMethod]:
    if find_spec("torch") is None:
        raise UserError(
            "training an encoder needs torch, which a worker does not: "
            "pip install 'stream-app[train]'"
        )
    from stream_app.training.evaluated import TrainedEncoder, trained_recommender, with_kind

    _limit_threads(options["threads"])
    config = _config(options["config"], options["seed"])
    methods: list[Method | LiveMethod] = [
        trained_recommender(name, config, k)
        if name == RECOMMENDER
        else TrainedEncoder(name, with_kind(config, name), progress)
        for name in names
    ]
    for name, file in options["trained"]:
        methods.append(TrainedEncoder(name, _config(file, options["seed"]), progress))
    return methods


def _limit_threads(threads: int) -> None:
    import torch

    if threads:
        torch.set_num_threads(threads)


def _config(file: Path | None, seed: int | None) -> TrainingConfig:
    """Settings of an encoder; the seed is that of the file, unless one was given as a flag."""
    from stream_app.training.settings_file import load_config

    return load_config(file, {"seed": seed})


def _bundled(split: Split, k: int, options: dict[str, Any]) -> list[Method | LiveMethod]:
    from stream_app.bundle import load_bundle
    from stream_app.evaluation.bundled import BundledEncoder, check_unseen, replayed_bundle

    bundle = load_bundle(options["bundle"])
    check_unseen(bundle, split)
    if split.stream is None:
        return [BundledEncoder(bundle, BUNDLE)]
    # Loaded anew for each: a replay adds items to its catalogue.
    return [
        replayed_bundle(BUNDLE, bundle, k),
        *(
            replayed_bundle(f"{BUNDLE} {text}", load_bundle(options["bundle"]), k, objectives)
            for text, objectives in options["objectives"]
        ),
    ]


def _show(result: Result, progress: Progress, shown: Sequence[str]) -> None:
    k = result.setup.k[0]
    metrics = [f"{metric}@{k}" for metric in shown]
    rows = [
        [method.name, *(_cell(method.figures["all"][metric]) for metric in metrics)]
        for method in result.methods
    ]
    asked = result.scopes[0]
    title = (
        f"{asked.questions:,} questions of {asked.users:,} users; after ± half the "
        f"{result.setup.level:.0%} interval"
    )
    progress.table(title, ["method", *metrics], rows)


def _cell(one: Estimate) -> str:
    if one.value is None:
        return "-"
    if one.low is None or one.high is None:
        return f"{one.value:.4f}"
    return f"{one.value:.4f} ±{(one.high - one.low) / 2:.4f}"
