"""CPU microseconds per list when decisions are kept, against none, in one run.

    python -m benchmarks decisions [--bundle DIR] [--rounds 15]

Every round measures all shares, so that a slow moment of the machine falls on all; ratios are
medians over rounds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

import numpy as np

import schemas
from benchmarks.recommender import full_rows, measure
from schemas import Click
from stream_app.bundle import load_bundle
from stream_app.recommender import Recommender, SourceMessage
from stream_app.users import decode_state

EXAMPLE = Path(__file__).parents[1] / "examples" / "movielens" / "bundle"
SHARES = (0.0, 0.01, 0.1, 1.0)
WHOLE = "process (all below)"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=EXAMPLE)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    made = {share: Recommender(bundle, decisions=share) for share in SHARES}
    rows = full_rows(made[0.0], options.users, np.random.default_rng(0))
    spent: dict[float, list[float]] = {share: [] for share in SHARES}
    for turn in range(1 + options.rounds):
        for share, recommender in made.items():
            seconds = measure(recommender, dict(rows), options.batch, 4)
            if turn:  # the first warms caches
                spent[share].append(seconds[WHOLE] / (4 * options.batch))
    print(f"{len(bundle.catalog)} items, batches of {options.batch}, {options.rounds} rounds")
    print(f"{'share kept':>10} {'us/list':>8}   of none")
    for share, times in spent.items():
        ratio = median(one / none for one, none in zip(times, spent[0.0], strict=True))
        print(f"{share:10g} {median(times) * 1e6:8.1f} {ratio:9.2f}")
    user, row = next(iter(rows.items()))
    click = Click(user_id=user, item_id=bundle.catalog.ids[0], timestamp_ms=7_000_000)
    message = SourceMessage(click, "clicks", 0, 101)
    (decision,) = made[1.0].process([message], {user: decode_state(row)}).decisions
    print(f"a decision of a user with a full ring: {len(schemas.encode(decision)):,} bytes")


if __name__ == "__main__":
    main()
