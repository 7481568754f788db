"""CPU microseconds per list with each objective of the ranking, and against none, in one run.

    python -m benchmarks objectives [--bundle DIR] [--items 8000] [--rounds 15]

Every round measures all of them, so that a slow moment of the machine falls on all; ratios are
medians over rounds. Without a bundle it ranks random unit vectors, with a random action head.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.recommender import full_rows, measure, random_bundle
from stream_app.bundle import ActionHead, Bundle, load_bundle
from stream_app.objectives import Objectives
from stream_app.plan import Plan
from stream_app.recommender import Recommender
from stream_app.users import ACTIONS

PLAIN = "next event only"
TRIED = {
    PLAIN: Objectives(),
    "diversity=1": Objectives(diversity=1),
    "popularity_discount=0.1": Objectives(popularity_discount=0.1),
    "purchase=5": Objectives(action_values="purchase=5"),
    "all three": Objectives(diversity=1, popularity_discount=0.1, action_values="purchase=5"),
}
WHOLE = "process (all below)"


def with_head(bundle: Bundle) -> Bundle:
    """The bundle with a random action head if it has none: what it says does not matter here."""
    if bundle.action_head is not None:
        return bundle
    random = np.random.default_rng(2)
    weight = random.standard_normal((3 * bundle.catalog.dim, len(ACTIONS))).astype(np.float32)
    head = ActionHead(weight, np.zeros(len(ACTIONS), np.float32))
    return dataclasses.replace(bundle, action_head=head)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--items", type=int, default=8_000)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    bundle = load_bundle(options.bundle) if options.bundle else random_bundle(options.items, random)
    bundle = with_head(bundle)
    made = {name: Recommender(bundle, plan=Plan(objectives=one)) for name, one in TRIED.items()}
    rows = full_rows(made[PLAIN], options.users, random)
    spent: dict[str, list[dict[str, float]]] = {name: [] for name in made}
    for turn in range(1 + options.rounds):
        for name, recommender in made.items():
            seconds = measure(recommender, dict(rows), options.batch, 4)
            if turn:  # the first warms caches
                spent[name].append(
                    {stage: one / (4 * options.batch) for stage, one in seconds.items()}
                )
    print(f"{len(bundle.catalog)} items, batches of {options.batch}, {options.rounds} rounds")
    print(f"{'':26} {'rank':>8} {'engine':>8}  us/list   of engine")
    for name, rounds in spent.items():
        rank, whole = (median(one[stage] for one in rounds) * 1e6 for stage in ("  rank", WHOLE))
        ratio = median(
            one[WHOLE] / plain[WHOLE] for one, plain in zip(rounds, spent[PLAIN], strict=True)
        )
        print(f"{name:26} {rank:8.1f} {whole:8.1f}           {ratio:9.2f}")


if __name__ == "__main__":
    main()
