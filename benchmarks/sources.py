"""What each source of candidates costs, and what merging the trends of other workers does.

    python -m benchmarks sources [--bundle DIR] [--items 8000] [--rounds 15]

As `objectives`: every round measures all of them, ratios are medians over rounds. Without a bundle
it ranks random unit vectors; then every item has 10 related ones in the row `related`, 32 items are
new in `new`, and a source of another distribution that proposes 20 is in `plug-in`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.recommender import full_rows, measure, random_bundle
from schemas import Item, ItemTrend
from stream_app.bundle import Bundle, load_bundle
from stream_app.plan import Plan, named
from stream_app.ranking import Proposal, UserBatch
from stream_app.ranking.plugins import Checked
from stream_app.ranking.wiring import ARRIVALS, RELATED
from stream_app.recommender import Recommender
from stream_app.trends import MOST_AT_ONCE

USUAL = "as usual"
WHOLE = "process (all below)"


class Fixed:
    """Proposes the same items to all."""

    name = "plug-in"

    def __init__(self, most: int) -> None:
        self._items = np.arange(most, dtype=np.int32)[None, :]

    def propose(self, users: UserBatch) -> list[Proposal]:
        return [Proposal(self._items)]


def recommenders(make_bundle: Callable[[], Bundle]) -> dict[str, Recommender]:
    """One for each row of the table; they share no catalogue."""
    made = {
        name: Recommender(make_bundle(), plan=Plan(sources=named(sources)))
        for name, sources in {
            USUAL: {},
            "without personal": {"personal": 0},
            "without transitions": {"transitions": 0},
            "without trending": {"trending": 0},
            "similar": {"similar": 48},
            "related": {},
            "new, exploration 0.1": {},
        }.items()
    }
    catalogue = made["related"].catalogue
    ids = list(made["related"].bundle.catalog.ids)
    listings = [
        (
            item,
            Item(
                item_id=item, related=tuple(ids[(at + n) % len(ids)] for n in range(1, 1 + RELATED))
            ),
        )
        for at, item in enumerate(ids)
    ]
    catalogue.apply(listings)
    made["new, exploration 0.1"].catalogue.apply(
        [(f"new-{n}", Item(item_id=f"new-{n}")) for n in range(ARRIVALS)]
    )
    plugged = Recommender(make_bundle())
    (pipeline, _), *_ = plugged._pipelines._ready.values()
    source = Checked(Fixed.name, Fixed(20), plugged.bundle.catalog)
    pipeline.sources = (*pipeline.sources[:-1], source, pipeline.sources[-1])
    pipeline._regular += 1
    return made | {"plug-in": plugged}


def merging(bundle: Bundle, rounds: int) -> tuple[float, float]:
    """Milliseconds to take `MOST_AT_ONCE` counts for publishing, and to merge as many."""
    writer, reader = Recommender(bundle), Recommender(bundle)
    ids = np.arange(len(bundle.catalog), dtype=np.int32)
    random = np.random.default_rng(3)
    spent: list[tuple[float, float]] = []
    for turn in range(rounds):
        chosen = random.choice(ids, 2 * MOST_AT_ONCE)
        times = np.full(len(chosen), 1_000_000 + turn)
        writer.live.counts.count(random.integers(0, 4, len(chosen)), chosen, times)
        writer.live.trends.learn(chosen, times)
        began = time.process_time()
        published: list[tuple[int, ItemTrend]] = writer.trends.unpublished()
        taken = time.process_time()
        reader.trends.merge(published)
        spent.append((taken - began, time.process_time() - taken))
    return median(one for one, _ in spent) * 1e3, median(other for _, other in spent) * 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--items", type=int, default=8_000)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()

    def make_bundle() -> Bundle:
        if options.bundle:
            return load_bundle(options.bundle)
        return random_bundle(options.items, np.random.default_rng(0))

    made = recommenders(make_bundle)
    rows = full_rows(made[USUAL], options.users, np.random.default_rng(1))
    spent: dict[str, list[dict[str, float]]] = {name: [] for name in made}
    for turn in range(1 + options.rounds):
        for name, recommender in made.items():
            seconds = measure(recommender, dict(rows), options.batch, 4)
            if turn:  # the first warms caches, and those of the neighbours
                spent[name].append(
                    {stage: one / (4 * options.batch) for stage, one in seconds.items()}
                )
    print(f"{options.bundle or options.items} items, batches of {options.batch}, "
          f"{options.rounds} rounds")  # fmt: skip
    print(f"{'':22} {'retrieve':>8} {'rank':>8} {'engine':>8}  us/list   of engine")
    for name, rounds in spent.items():
        retrieve, rank, whole = (
            median(one[stage] for one in rounds) * 1e6 for stage in ("  retrieve", "  rank", WHOLE)
        )
        ratio = median(
            one[WHOLE] / usual[WHOLE] for one, usual in zip(rounds, spent[USUAL], strict=True)
        )
        print(f"{name:22} {retrieve:8.1f} {rank:8.1f} {whole:8.1f}           {ratio:9.2f}")
    take, merge = merging(make_bundle(), options.rounds)
    print(f"\ntrends: {MOST_AT_ONCE} counts taken in {take:.2f} ms, merged in {merge:.2f} ms")


if __name__ == "__main__":
    main()
