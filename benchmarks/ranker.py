"""Is a learned ranker better than the weighted sum? The same release with each, on one replay.

    python -m benchmarks ranker [--data movielens|yoochoose] [--texts FILE --text-encoder DIR]

Everything is chosen and trained on the older part of the events, as `stream-app train` does it; the
newest fifth is replayed through all of them, and differences are paired by user.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.ablation import DATA
from benchmarks.recommender import full_rows, measure
from stream_app.bundle import Bundle, load_bundle
from stream_app.datasets import EventTable, open_dataset
from stream_app.datasets.texts import read_item_texts
from stream_app.evaluation.bundled import replayed_bundle
from stream_app.evaluation.progress import make_progress
from stream_app.evaluation.protocols import replay_split, sample_users
from stream_app.evaluation.result import Result
from stream_app.evaluation.run import Contest, run
from stream_app.recommender import Recommender
from stream_app.text import TextEncoder
from stream_app.training.config import TrainingConfig
from stream_app.training.fit import fit
from stream_app.training.job import Job, Settings, choose
from stream_app.training.learner import Learner
from stream_app.training.pools import Pools
from stream_app.training.ranker import FittedRanker, fit_ranker
from stream_app.training.release import Label, Release
from stream_app.training.report import make_report
from stream_app.training.texts import ItemTexts

SUM = "weighted sum"
WHOLE = "process (all below)"
THREE = ("affinity", "transition", "popularity")
TRAIN_FRACTION = 0.8
# As examples/movielens/train.sh, and benchmarks/configs/yoochoose.toml with the kind it chooses.
RANKED: Mapping[str, dict[str, Any]] = {
    "movielens": {"temperature": 0.15},
    "yoochoose": {
        "epochs": 12,
        "patience": 3,
        "batch_tokens": 512,
        "item_dropout": 0.0,
        "min_count": 1,
    },
}


class Prepared(NamedTuple):
    """What all releases have in common."""

    job: Job
    settings: Settings
    learner: Learner
    window: EventTable

    def write(self, directory: Path, ranker: FittedRanker | None) -> Bundle:
        """The release with `ranker`, loaded as a worker does."""
        release = Release.of(
            self.learner, self.window, self.settings.ranking, self.job.texts, ranker
        )
        release.write(directory, self.job.label, replace=True)
        return load_bundle(directory)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="ranker", description=__doc__)
    parser.add_argument("--data", choices=[*DATA], default="movielens")
    parser.add_argument("--seeds", type=int, default=3, help="of the mixture of experts")
    parser.add_argument("--users", type=int, help="replay the lists of so many users")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--text-encoder", type=Path)
    parser.add_argument("--rounds", type=int, default=15, help="of the measurement of the cost")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        bundles = make_bundles(prepare(options), options.seeds, Path(scratch))
        print_costs(bundles, options.rounds)
        print_table(compare(bundles, options))


def prepare(options: argparse.Namespace) -> Prepared:
    """Choose all settings, collect the pools, and train the encoder of the release."""
    table = open_dataset(DATA[options.data])
    texts = None
    if options.texts:
        texts = ItemTexts.encode(
            read_item_texts(options.texts),
            TextEncoder.load(options.text_encoder),
            wanted=set(table.item_ids),
        )
    config = TrainingConfig(ranker="linear", **RANKED[options.data])
    job = Job(
        table, Path(), Label("ranker", "1"), config, train_fraction=TRAIN_FRACTION, texts=texts
    )
    window, _ = table.split(TRAIN_FRACTION)
    past, recent = window.split(1 - job.validation_fraction)
    report = make_report()
    with tempfile.TemporaryDirectory() as scratch:
        settings, _ = choose(job, past, recent, window, Path(scratch), report)
    learner, _ = fit(
        window,
        settings.config,
        texts=job.text_rows,
        stop_after=settings.epochs,
        on_epoch=report.epoch,
    )
    return Prepared(job, settings, learner, window)


def rankers(pools: Pools, seeds: int) -> Iterator[tuple[str, FittedRanker]]:
    """Every variant by name."""
    yield "linear, the same three", fit_ranker(pools, "linear", features=THREE)
    yield "linear", fit_ranker(pools, "linear")
    for seed in range(seeds):
        yield f"experts, seed {seed}", fit_ranker(pools, "moe", seed)


def make_bundles(prepared: Prepared, seeds: int, scratch: Path) -> dict[str, Bundle]:
    """The release with the weighted sum, and with each ranker."""
    pools = prepared.settings.pools
    assert pools is not None
    print(f"{len(pools):,} lists held the next item, {pools.missed:,} did not", flush=True)
    bundles = {SUM: prepared.write(scratch / "0", None)}
    for number, (name, ranker) in enumerate(rankers(pools, seeds), 1):
        print(f"{name}: {ranker.learned} sum {ranker.summed}, {ranker.features}", flush=True)
        bundles[name] = prepared.write(scratch / str(number), ranker)
    return bundles


def compare(bundles: Mapping[str, Bundle], options: argparse.Namespace) -> Result:
    """Replay the newest events through the release with each ranker."""
    table = open_dataset(DATA[options.data])
    repeats = options.data == "yoochoose"
    split = replay_split(table, test_share=1 - TRAIN_FRACTION, repeats=repeats)
    if options.users:
        split = sample_users(split, options.users, 0)
    methods = [replayed_bundle(name, bundle, 10) for name, bundle in bundles.items()]
    return run(Contest(split, methods), make_progress())


def print_costs(bundles: Mapping[str, Bundle], rounds: int, batch: int = 256) -> None:
    """CPU microseconds per list with each, and against the sum; every round measures all."""
    random = np.random.default_rng(0)
    made = {name: Recommender(bundle) for name, bundle in bundles.items()}
    rows = full_rows(made[SUM], 2_000, random)
    spent: dict[str, list[dict[str, float]]] = {name: [] for name in made}
    for turn in range(1 + rounds):
        for name, recommender in made.items():
            seconds = measure(recommender, dict(rows), batch, 4)
            if turn:  # the first warms caches
                spent[name].append({stage: one / (4 * batch) for stage, one in seconds.items()})
    print("| ranker | rank, us/list | engine, us/list | engine against the sum |")
    print("|---|---|---|---|")
    for name, found in spent.items():
        rank, whole = (median(one[stage] for one in found) * 1e6 for stage in ("  rank", WHOLE))
        ratio = median(
            one[WHOLE] / plain[WHOLE] for one, plain in zip(found, spent[SUM], strict=True)
        )
        print(f"| {name} | {rank:.1f} | {whole:.1f} | {ratio:.2f} |", flush=True)


def print_table(result: Result) -> None:
    """Figures of each method, and the 95 % interval of the difference from the sum."""
    # Differences are of the earlier method from the later one, and the sum is the first.
    sums = [one for one in result.differences if (one.metric, one.first) == ("ndcg@10", SUM)]
    behind = {one.second: one.difference for one in sums}
    scope = result.scopes[0]
    print(f"{scope.questions:,} lists of {scope.users:,} users")
    print("| ranker | NDCG@10 | HR@10 | NDCG against the sum, 95 % |")
    print("|---|---|---|---|")
    for method in result.methods:
        figures = [f"{result.value(method.name, name):.4f}" for name in ("ndcg@10", "hr@10")]
        interval = ""
        if (found := behind.get(method.name)) is not None and found.low and found.high:
            interval = f"{-found.high:+.4f} to {-found.low:+.4f}"
        print(f"| {method.name} | {' | '.join(figures)} | {interval} |")


if __name__ == "__main__":
    main()
