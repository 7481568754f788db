"""What the filters cost a list, and what an impression costs beside an event, in one run.

    python -m benchmarks filters [--bundle DIR] [--items 8000] [--rounds 15]

Processor time of one core. Every round measures all of them, so that a slow moment of the machine
falls on all; ratios are medians over rounds. Rows are full: a hundred events, and where a filter
asks for it four hundred items shown and as many served; all of them within their time, or none.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

import schemas
from agents.engine import Engine, Record
from benchmarks.recommender import full_rows, measure, random_bundle
from schemas import Click, Impression, Purchase
from stream_app.bundle import load_bundle
from stream_app.plan import Plan
from stream_app.recommender import Recommender
from stream_app.users import decode_state, encode_state, item_hash
from stream_app.users.shown import SHOWN_LENGTH, SourceImpression, apply_impression, with_list

PLAIN = ("bought", "clicked")
TRIED = {
    "none": (),
    "bought, clicked": PLAIN,
    "and shown": (*PLAIN, "shown:1h"),
    "and served": (*PLAIN, "served:1h"),
    "all four": (*PLAIN, "shown:1h", "served:1h"),
    "all four, time over": (*PLAIN, "shown:5s", "served:5s"),
}
BEFORE = "bought, clicked"
AT_MS = 6_990_000  # ten seconds before the events that are measured
SHOWN_AT_ONCE = 10


def with_rings(
    rows: dict[str, bytes],
    names: Sequence[str],
    filters: Sequence[str],
    random: np.random.Generator,
) -> dict[str, bytes]:
    """The rows with full rings of what the filters remember."""
    hashes = [item_hash(name) for name in names]
    weights = 1 / np.arange(1, len(names) + 1)
    made = {}
    for user, row in rows.items():
        state = decode_state(row)
        chosen = random.choice(len(names), (2, SHOWN_LENGTH), False, weights / weights.sum())
        shown, served = ([hashes[item] for item in part] for part in chosen.tolist())
        if any(name.startswith("shown") for name in filters):
            state, _ = apply_impression(state, SourceImpression(tuple(shown), AT_MS, "i/0", 0))
        if any(name.startswith("served") for name in filters):
            state = with_list(state, served)
        made[user] = encode_state(state)
    return made


def edge(recommender: Recommender) -> Engine:
    """The engine of a worker with the filter `shown`."""
    return Engine(
        recommender,
        sources={"clicks": Click, "purchases": Purchase},
        impressions="impressions",
        changelog="changelog",
        recommendations="recommendations",
        dead_letters="dead-letters",
        decisions="decisions",
        erasures="erasures",
        receipts="receipts",
        requests="requests",
        profiles="profiles",
    )


def per_record(
    engine: Engine, rows: dict[str, bytes], batch: int, record: Callable[[str, int], Record]
) -> float:
    """Processor seconds of a record, of different users."""
    users = list(rows)
    spent, offset, count = 0.0, 1_000, 0
    for start in range(0, len(users) - batch + 1, batch):
        part = users[start : start + batch]
        records = [record(user, offset := offset + 1) for user in part]
        began = time.thread_time()
        engine.work(records, {user.encode(): rows[user] for user in part})
        spent += time.thread_time() - began
        count += batch
    return spent / count


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--items", type=int, default=8_000)
    parser.add_argument("--users", type=int, default=1_024)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    bundle = load_bundle(options.bundle) if options.bundle else random_bundle(options.items, random)
    made = {
        name: Recommender(bundle, plan=Plan(filters=filters)) for name, filters in TRIED.items()
    }
    names = bundle.catalog.ids
    plain = full_rows(made[BEFORE], options.users, random)
    rows = {name: with_rings(plain, names, TRIED[name], random) for name in made}
    spent: dict[str, list[float]] = {name: [] for name in made}
    for turn in range(1 + options.rounds):
        for name, recommender in made.items():
            stages = measure(recommender, dict(rows[name]), options.batch, 4)
            if turn:  # the first warms caches
                whole = sum(s for stage, s in stages.items() if not stage.startswith(" "))
                spent[name].append(whole / (4 * options.batch))
    print(f"{len(names)} items, batches of {options.batch}, {options.rounds} rounds")
    print(f"{'filters':20} {'us/list':>8}   ratio   bytes/row")
    for name, rounds in spent.items():
        ratio = median(one / base for one, base in zip(rounds, spent[BEFORE], strict=True))
        size = sum(map(len, rows[name].values())) // len(rows[name])
        print(f"{name:20} {median(rounds) * 1e6:8.1f}   {ratio:5.2f}   {size:9,}")
    _impressions(made["all four"], rows["all four"], options.batch, options.rounds)


def _impressions(recommender: Recommender, rows: dict[str, bytes], batch: int, rounds: int) -> None:
    engine, names = edge(recommender), recommender.bundle.catalog.ids

    def click(user: str, offset: int) -> Record:
        message = Click(user_id=user, item_id=names[offset % len(names)], timestamp_ms=7_000_000)
        return Record("clicks", 0, offset, 0, user.encode(), schemas.encode(message))

    def impression(user: str, offset: int) -> Record:
        items = tuple(names[(offset + n) % len(names)] for n in range(SHOWN_AT_ONCE))
        message = Impression(user_id=user, rec_id="r" * 24, item_ids=items, timestamp_ms=7_000_000)
        return Record("impressions", 0, offset, 0, user.encode(), schemas.encode(message))

    pairs = [
        (per_record(engine, rows, batch, click), per_record(engine, rows, batch, impression))
        for _ in range(1 + rounds)
    ][1:]
    clicks, shown = (median(part) * 1e6 for part in zip(*pairs, strict=True))
    ratio = median(click / impression for click, impression in pairs)
    print(f"\nan event, with its list  {clicks:7.1f} us")
    print(f"an impression of {SHOWN_AT_ONCE}     {shown:7.1f} us   1 / {ratio:.1f}")


if __name__ == "__main__":
    main()
