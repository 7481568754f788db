"""Whether reasons are true, and what they cost: the shipped MovieLens bundle and its users.

    python -m benchmarks reasons [--users 200] [--seed 1]

For each item of a user's list, an event is taken out of the user's ring, the ring is encoded anew
and the item is scored anew, not by the code that gives the reasons: how far does the score fall
without the event that the exact reason names, without the one of the cheap reason ("after ITEM"),
and without a random one?
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from schemas import Click, RankedItem
from stream_app.datasets import read_movielens
from stream_app.encoders import History
from stream_app.evaluation import past_rows
from stream_app.ranking import LiveStores
from stream_app.ranking.wiring import TRANSITION_FLOOR, vote_weights
from stream_app.recommender import Recommender, SourceMessage
from stream_app.users import UserState, event_gaps, events_of, item_hash, sequence_features
from stream_app.users.state import EVENT_BYTES

EXAMPLE = Path(__file__).parents[1] / "examples" / "movielens"
TRAINED_ON = 0.8
FEWEST = 10
"""Events of a user, at least: with fewer, a random event is too often the named one."""


@dataclass
class Drops:
    """Over many items of many users: how far the score falls without one event, nats."""

    named: list[float] = field(default_factory=list)
    cheap: list[float] = field(default_factory=list)
    """Only where the list gives a cheap reason."""
    random: list[float] = field(default_factory=list)
    random_at_cheap: list[float] = field(default_factory=list)
    agree: list[bool] = field(default_factory=list)
    """Whether the cheap reason names the event that the exact one does."""
    cpu_ms: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Processor time of the explanation of one list, by the length of the ring."""


class Scorer:
    """Scores an item for a ring by the formula of the manifest, ring by ring."""

    def __init__(self, recommender: Recommender) -> None:
        self._bundle = recommender.bundle
        self._live = LiveStores.of(recommender.bundle)
        self._weights = self._bundle.manifest.ranking
        votes = np.array(vote_weights(self._weights.votes))
        self._votes = votes / votes.sum()

    def scores(self, rings: Sequence[np.ndarray], items: Sequence[int]) -> np.ndarray:
        """The score of each of `items` (catalogue positions) for the ring beside it."""
        catalog, weights = self._bundle.catalog, self._weights
        _, users = self._bundle.encoder.encode([self._history(ring) for ring in rings])
        cosines = np.einsum("nd,nd->n", users, catalog.vectors_of(np.array(items)))
        shares = self._live.trends.log_share(np.array(items, np.int32))
        follows = [self._follows(ring, item) for ring, item in zip(rings, items, strict=True)]
        scores: np.ndarray = (
            weights.personal * cosines / weights.temperature
            + weights.transition * np.log(np.array(follows) + TRANSITION_FLOOR)
            + weights.trending * shares
        )
        return scores

    def _history(self, ring: np.ndarray) -> History:
        places = self._bundle.catalog.lookup(np.ascontiguousarray(ring["item"]))
        features = sequence_features(ring["action"], event_gaps(ring["timestamp_ms"]))
        return History(self._bundle.catalog.vectors_of(places), features)

    def _follows(self, ring: np.ndarray, item: int) -> float:
        last = self._bundle.catalog.lookup(np.ascontiguousarray(ring["item"]))[::-1]
        last = last[: len(self._votes)]
        after, shares = self._live.transitions.successors_of(last)
        voted = (shares * (after == item)).sum(axis=1)
        return float(voted @ self._votes[: len(last)])


def measure(
    recommender: Recommender, rows: Mapping[str, UserState], users: Sequence[str], seed: int
) -> Drops:
    """Explain the lists of `users`, and take out named and random events."""
    random, scorer, drops = np.random.default_rng(seed), Scorer(recommender), Drops()
    for user in users:
        row = rows[user]
        ring = events_of(row.history)
        began = time.process_time()
        explanation = recommender.explain(row)
        drops.cpu_ms[len(ring)].append((time.process_time() - began) * 1e3)
        cheap = _cheap_reasons(recommender, row)
        rings, items, kinds = [ring], [0], [""]
        for item in explanation.items:
            if not item.causes:
                continue
            position = recommender.bundle.catalog.index_of(item.item_id)
            named = len(ring) - item.causes[0].place
            other = int(random.integers(len(ring)))
            after = _newest(ring, cheap[item.item_id]) if item.item_id in cheap else None
            for kind, event in (("named", named), ("random", other), ("cheap", after)):
                if event is not None:
                    rings += [ring, np.delete(ring, event)]
                    items += [position, position]
                    kinds += ["", kind]
            if after is not None:
                drops.agree.append(after == named)
        _add(drops, scorer.scores(rings, items), kinds)
    return drops


def _add(drops: Drops, scores: np.ndarray, kinds: Sequence[str]) -> None:
    """The score of the whole ring stands before that of the ring without the event."""
    for at, kind in enumerate(kinds):
        if kind:
            drop = float(scores[at - 1] - scores[at])
            getattr(drops, kind).append(drop)
            if kind == "cheap":
                drops.random_at_cheap.append(drops.random[-1])


def _cheap_reasons(recommender: Recommender, row: UserState) -> dict[str, str]:
    """The item after which each item of the list was recommended, as lists on the stream say."""
    newest = events_of(row.history)[-1]
    # An event that the row has applied already: it is answered with a list and changes nothing.
    known = UserState(row.history, row.seen, offsets={"known/0": 0}, events=row.events,
                      last_timestamp_ms=row.last_timestamp_ms)  # fmt: skip
    event = Click(user_id="u", item_id="u", timestamp_ms=int(newest["timestamp_ms"]))
    made = recommender.process([SourceMessage(event, "known", 0, 0)], {"u": known})
    return {item.item_id: _after(item) for item in made.recommendations[0].items if item.reasons}


def _after(item: RankedItem) -> str:
    return item.reasons[0].removeprefix("after ")


def _newest(ring: np.ndarray, item_id: str) -> int:
    return int(np.flatnonzero(ring["item"] == item_hash(item_id))[-1])


def example_rows() -> dict[str, UserState]:
    """The rows of the users of the example, after the events that the bundle has learned."""
    return past_rows(read_movielens(EXAMPLE / "ml-latest-small").split(TRAINED_ON)[0])


def chosen(rows: Mapping[str, UserState], count: int, seed: int) -> list[str]:
    """Users with enough events, at random."""
    enough = sorted(user for user, row in rows.items() if len(row.history) >= FEWEST * EVENT_BYTES)
    return np.random.default_rng(seed).permutation(enough)[:count].tolist()


def main() -> None:
    """Print what the module says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    recommender = Recommender.load(EXAMPLE / "bundle")
    rows = example_rows()
    users = chosen(rows, options.users, options.seed)
    recommender.explain(rows[users[0]])  # warm
    drops = measure(recommender, rows, users, options.seed)
    print(f"{len(users)} users, {len(drops.named)} items; fall of the score without an event, nats")
    for name, taken in (
        ("named by the exact reason", drops.named),
        ("random", drops.random),
        ("named by the cheap reason", drops.cheap),
        ("random, for the same items", drops.random_at_cheap),
    ):
        print(f"{name:28} {np.mean(taken):6.3f}  (of {len(taken)} items)")
    wins = np.mean(np.array(drops.named) > np.array(drops.random))
    print(f"the named event lowers it more than the random one: {wins:.1%} of items")
    print(
        f"the cheap reason names the same event: {np.mean(drops.agree):.1%} of {len(drops.agree)}"
    )
    for low, high in ((10, 25), (26, 50), (51, 99), (100, 100)):
        taken = [ms for n, some in drops.cpu_ms.items() if low <= n <= high for ms in some]
        if taken:
            p50, p95 = np.percentile(taken, [50, 95])
            print(f"rings of {low}-{high}: {p50:.0f} ms of processor a list, p95 {p95:.0f}, "
                  f"{len(taken)} lists")  # fmt: skip


if __name__ == "__main__":
    main()
