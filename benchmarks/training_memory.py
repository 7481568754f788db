"""Memory and time of reading and training on many events, each stage in a process of its own.

`python -m benchmarks training-memory --events 10000000`. The data are made up: a Zipf-like
popularity, users of unequal activity, times in no order. The model is tiny, so that what is seen is
the memory of the data, not of the weights.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

CHUNK = 200_000
YEAR_S = 365 * 86_400
START_S = 1_700_000_000


def make_csv(path: Path, events: int, users: int, items: int, seed: int = 0) -> None:
    """Write events of a made-up shop: columns user_id, item_id, timestamp, action."""
    random = np.random.default_rng(seed)
    actions = np.array(["click", "click", "click", "click", "add_to_cart", "purchase"])
    with path.open("w") as file:
        file.write("user_id,item_id,timestamp,action\n")
        for start in range(0, events, CHUNK):
            count = min(CHUNK, events - start)
            who = (users * random.random(count) ** 2).astype(int)
            what = (items * random.random(count) ** 3).astype(int)
            when = START_S + random.integers(YEAR_S, size=count)
            did = actions[random.integers(len(actions), size=count)]
            file.writelines(
                f"user-{u},item-{i},{t},{a}\n"
                for u, i, t, a in zip(who.tolist(), what.tolist(), when.tolist(), did, strict=True)
            )


class Stages:
    """A report that says what the process has used when a stage begins."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def stage(self, text: str) -> None:
        print(
            f"{time.monotonic() - self._began:7.0f} s  {time.process_time():7.0f} s  "
            f"{peak_mb():7,.0f} MB  {text}",
            flush=True,
        )

    note = stage

    def resumed(self, epoch: int, checkpoint: Path) -> None:
        """Nothing is resumed here."""

    def epoch(self, done: Any) -> None:
        self.stage(f"epoch {done.number}: loss {done.loss:.3f}")

    @contextmanager
    def bar(self, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda done: None

    def table(self, title: str, boards: Any) -> None:
        self.stage(title)


def peak_mb() -> float:
    """Most memory that this process has had, MB of 10^6 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def read(path: Path, _: int) -> None:
    """Stage: a file into a table."""
    from stream_app.datasets import open_dataset

    report = Stages()
    report.stage("before reading (Python, numpy)")
    table = open_dataset(path)
    columns = (table.users, table.items, table.timestamps_ms, table.actions)
    size = sum(column.nbytes for column in columns) / len(table)
    report.stage(
        f"read {len(table):,} events of {len(table.user_ids):,} users on {len(table.item_ids):,} "
        f"items; columns {size:.0f} bytes an event"
    )


def train(path: Path, replayed: int) -> None:
    """Stage: a file into a bundle, as `stream-app train` does it, but for what only takes time.

    One epoch each time, and one setting of the ranking instead of some twenty, which need the same
    memory one after the other.
    """
    import torch

    from stream_app.datasets import open_dataset
    from stream_app.training import job, ranking
    from stream_app.training.config import ModelConfig, TrainingConfig
    from stream_app.training.release import Label

    torch.set_num_threads(1)
    report = Stages()
    report.stage("before reading (torch)")
    config = TrainingConfig(
        model=ModelConfig(dim=16, width=16, blocks=1), epochs=1, negatives=64, batch_tokens=16_384
    )
    table = open_dataset(path)
    out = path.with_name("bundle")
    ranking.GRID = ()
    job.REPLAYED_EVENTS = replayed
    job.run(job.Job(table, out, Label("memory", "1"), config, train_fraction=0.9), report)
    report.stage("done")


def main() -> None:
    """Make the data, then measure each stage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks training-memory")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--only", choices=("read", "train"), help="Measure only this.")
    parser.add_argument(
        "--replayed", type=int, default=200_000, help="Events of a replay, at most."
    )
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "events.csv"
        make_csv(path, options.events, options.users, options.items)
        print(f"{options.events:,} events, {path.stat().st_size / 1e6:,.0f} MB of CSV", flush=True)
        for stage in (read, train):
            if options.only in (None, stage.__name__):
                print(f"\n{stage.__name__}: time, processor time, peak memory", flush=True)
                process = context.Process(target=stage, args=(path, options.replayed))
                process.start()
                process.join()
                if process.exitcode:
                    raise SystemExit(f"{stage.__name__} ended with {process.exitcode}")


if __name__ == "__main__":
    main()
