"""What metrics cost of a worker's processor time: the engine with and without, in one run.

    python -m benchmarks metrics [--bundle DIR] [--rounds 30]

Every round measures both, in turn, so that a slow moment of the machine falls on both; the share is
the median over rounds. Kafka and Faust, nearly half of a worker, are not part of it: of a whole
worker the share is smaller. Then what is done once in a while, as a share of one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

import schemas
from agents.engine import Engine, Record
from benchmarks.recommender import full_rows
from schemas import Click, Purchase
from stream_app.bundle import Bundle, load_bundle
from stream_app.observability.metrics import Metrics
from stream_app.recommender import Recommender
from stream_app.streaming.probe import PartitionProgress, Snapshot

EXAMPLE = Path(__file__).parents[1] / "examples" / "movielens" / "bundle"
BATCHES = {1: 100, 32: 12, 256: 3}
"""By the number of events in it, how many batches a round measures."""
PARTITIONS = 5 * 16
SCRAPE_S, REPORT_S, LOOK_S = 15.0, 2.0, 1.0


class Worker:
    """An engine with its rows, and its metrics if it has any."""

    def __init__(self, bundle: Bundle, rows: dict[str, bytes], *, counted: bool) -> None:
        self.recommender = Recommender(bundle, counted=counted)
        self.rows = {user.encode(): row for user, row in rows.items()}
        self.registry = CollectorRegistry()
        self.metrics: Metrics | None = None
        tally = self.recommender.tally
        if tally is not None:
            self.metrics = Metrics(self.registry)
            self.metrics.watch(tally.funnel, self.recommender.treatments.rules)
        self._engine = Engine(
            self.recommender,
            sources={"clicks": Click, "purchases": Purchase},
            changelog="changelog",
            recommendations="recommendations",
            dead_letters="dead-letters",
            erasures="erasures",
            receipts="erasure-receipts",
            requests="recommendation-requests",
            decisions="decisions",
            profiles="profiles",
        )

    def seconds(self, records: list[Record]) -> float:
        """Processor seconds of a batch."""
        rows = {record.key: self.rows[record.key] for record in records if record.key}
        began = time.process_time()
        work = self._engine.work(records, rows)
        if self.metrics is not None:
            self.metrics.batch(work, events=len(records))
            self.metrics.rows(len(self.rows), 0)
        spent = time.process_time() - began
        self.rows |= {row.key: row.value for row in work.rows if row.key and row.value}
        return spent


def batches(bundle: Bundle, users: list[str], size: int, count: int, at: int) -> list[list[Record]]:
    """Clicks on random items, each of another user."""
    random = np.random.default_rng(at)
    now_ms = time.time_ns() // 1_000_000
    made = []
    for number in range(count):
        chosen = random.choice(len(users), size, replace=False)
        items = random.integers(len(bundle.catalog), size=size)
        clicks = [
            Click(user_id=users[user], item_id=bundle.catalog.ids[item], timestamp_ms=now_ms)
            for user, item in zip(chosen.tolist(), items.tolist(), strict=True)
        ]
        first = 1_000 + (at * count + number) * size
        made.append(
            [
                Record("clicks", 0, first + n, now_ms, one.user_id.encode(), schemas.encode(one))
                for n, one in enumerate(clicks)
            ]
        )
    return made


def shares(
    workers: tuple[Worker, Worker], rounds: Iterator[list[list[Record]]]
) -> Iterator[tuple[float, float]]:
    """Seconds of each round without and with metrics; who goes first takes turns."""
    for turn, some in enumerate(rounds):
        spent = [0.0, 0.0]
        for records in some:
            for which in (0, 1) if turn % 2 else (1, 0):
                spent[which] += workers[which].seconds(records)
        if turn > 1:  # the first two warm caches
            yield spent[0], spent[1]


def per_call(what: Callable[[], object], times: int) -> float:
    """Processor seconds of a call."""
    began = time.process_time()
    for _ in range(times):
        what()
    return (time.process_time() - began) / times


def now_and_then(worker: Worker) -> None:
    """Print what a scrape, a report and a look at the consumer cost."""
    metrics, recommender = worker.metrics, worker.recommender
    assert metrics is not None
    seen = Snapshot(
        started=True,
        generation=1,
        partitions={("clicks", n): PartitionProgress(n, 2 * n) for n in range(PARTITIONS)},
    )

    def report() -> None:
        status, shown = recommender.look()
        assert shown is not None
        metrics.catalogue(status, 0, {"items": 1})
        metrics.shown(shown)

    rows = (
        (f"a scrape, every {SCRAPE_S:g} s", lambda: generate_latest(worker.registry), SCRAPE_S),
        (f"a report on the catalogue, every {REPORT_S:g} s", report, REPORT_S),
        (f"lag and commits of {PARTITIONS} partitions, every {LOOK_S:g} s",
         lambda: metrics.progress(seen), LOOK_S),
    )  # fmt: skip
    for name, what, every_s in rows:
        seconds = per_call(what, 50)
        print(f"{name:52} {seconds * 1e3:6.2f} ms {seconds / every_s:7.2%} of a core")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=EXAMPLE)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    rows = full_rows(Recommender(bundle), options.users, np.random.default_rng(0))
    workers = Worker(bundle, rows, counted=False), Worker(bundle, rows, counted=True)
    print(f"{len(bundle.catalog)} items, {options.rounds} rounds, processor time of the engine")
    print(f"{'events a batch':>14} {'without':>14} {'with':>14}   metrics")
    users, at = list(rows), 0
    for size, count in BATCHES.items():
        turns = range(at, at + options.rounds + 2)
        at += len(turns)
        rounds = (batches(bundle, users, size, count, turn) for turn in turns)
        spent = list(shares(workers, rounds))
        events = size * count
        without, counted = (median(of) / events * 1e6 for of in zip(*spent, strict=True))
        share = median(1 - less / more for less, more in spent)
        print(f"{size:14} {without:8.1f} us/ev {counted:8.1f} us/ev {share:9.1%}")
    now_and_then(workers[1])


if __name__ == "__main__":
    main()
