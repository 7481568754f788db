"""What a profile adds to the lists of new users, in the pipeline that serves.

`python -m benchmarks cold-profiles --encoder DIR`: the bundle of the repository, which was trained
on the first four fifths of MovieLens small, and the users who appear after them
(`evaluation.cold.cold_users`). Weights are chosen on one half of the users and judged on the other,
both ways.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas import Profile
from stream_app.advance import Advancer, UserUpdate
from stream_app.bundle import Bundle, load_bundle
from stream_app.datasets import read_movielens
from stream_app.datasets.texts import read_item_texts
from stream_app.evaluation.cold import EVENTS_KNOWN, ColdUsers, cold_users, favourites
from stream_app.evaluation.histories import UserLog
from stream_app.evaluation.metrics import accuracy, places_of
from stream_app.evaluation.protocols import time_split
from stream_app.profiles import EVERYDAY, Profiles, profile_weights
from stream_app.ranking import LiveStores, SeenIndex, build_pipeline, user_batch
from stream_app.text import TextEncoder
from stream_app.users.ids import item_hash
from stream_app.users.profile import ProfileChange
from stream_app.users.state import SourceEvent

EXAMPLE = Path(__file__).parents[1] / "examples" / "movielens"
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0)
QUERY_WEIGHTS = (0.2, 0.35, 0.5, 1.0)
K = 10
Scores = NDArray[np.float64]


class Served:
    """The serving pipeline over new users."""

    def __init__(self, bundle: Bundle, encoder: TextEncoder, log: UserLog, asked: ColdUsers):
        self._bundle, self._log, self._asked = bundle, log, asked
        self._profiles = Profiles(bundle, encoder)
        self._advancer = Advancer(bundle.encoder, bundle.catalog, bundle.release)
        self._seen = SeenIndex(bundle.catalog)
        self._pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=K)
        place = {name: at for at, name in enumerate(log.table.item_ids)}
        self._places = np.array([*(place.get(name, -1) for name in bundle.catalog.ids), -1])

    def rows(self, known: int, texts: list[str]) -> list[UserUpdate]:
        """The rows of the users, with their first events and a profile."""
        table, made = self._log.table, []
        for user, text in zip(self._asked.users, texts, strict=True):
            update = self._advancer.begin(None)
            said = Profile(user_id="u", text=text)
            update.take_profile(ProfileChange(said, "profiles/0", 0))
            start = self._log.starts[user]
            for at in self._log.order[start : start + known]:
                item = item_hash(table.item_ids[table.items[at]])
                time_ms, action = int(table.timestamps_ms[at]), int(table.actions[at])
                update.take(SourceEvent(item, time_ms, action, 1, "clicks/0", int(at)))
            made.append(update)
        self._advancer.advance(made)
        self._profiles.read(made)
        return made

    def ndcg(self, rows: list[UserUpdate], known: int, weight: float) -> Scores:
        """NDCG@10 of each user `[U]`, with profiles that count `weight`."""
        states = [one.state for one in rows]
        users = self._profiles.bring(user_batch(states, self._bundle.catalog, self._seen), states)
        if users.profiles is not None:
            lengths = np.linalg.norm(users.profiles, axis=1, keepdims=True)
            scaled = users.profiles / np.maximum(lengths, 1e-9) * np.float32(weight)
            users = replace(users, profiles=scaled if weight else None)
        lists = self._places[self._pipeline.rank(users, {}).items]
        cases = self._asked.cases[known]
        return accuracy(places_of(lists, cases), cases.offsets, K)["ndcg"]


def main() -> None:
    """Print a table for each kind of profile."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks cold-profiles")
    parser.add_argument("--encoder", type=Path, required=True, help="an exported text encoder")
    options = parser.parse_args(sys.argv[1:])
    movies = EXAMPLE / "ml-latest-small"
    table, texts = read_movielens(movies), read_item_texts(movies / "movies.csv")
    log, asked = UserLog.of(table), cold_users(time_split(table))
    bundle, encoder = load_bundle(EXAMPLE / "bundle"), TextEncoder.load(options.encoder)
    served = Served(bundle, encoder, log, asked)

    def genres(movie: str) -> list[str]:
        text = texts.get(movie, "")
        return text.rpartition("). ")[2].split(", ") if "). " in text else []

    def of_item(item: int) -> list[str]:
        return genres(table.item_ids[item])

    _queries(bundle, encoder, genres)
    titles = ["; ".join(texts[table.item_ids[at]].split(" (")[0] for at in firsts[:3])
              for firsts in asked.firsts]  # fmt: skip
    print(f"\n{len(asked.users)} new users, NDCG@10 by the number of events known")
    for name, profile in (("3 genres", favourites(asked.firsts, of_item)), ("3 titles", titles)):
        _table(name, served, profile)


def _queries(bundle: Bundle, encoder: TextEncoder, genres: Callable[[str], list[str]]) -> None:
    """Of ten movies for a genre in words, how many have it, by how far queries are moved."""
    names = bundle.catalog.ids[: len(bundle.catalog)]
    known = sorted({genre for name in names for genre in genres(name)} - {"IMAX"})
    has = np.array([[genre in genres(name) for genre in known] for name in names])
    asked = [(worded.format(genre.lower()), at) for at, genre in enumerate(known)
             for worded in ("{}", "{} films", "a good {} movie", "I like {}")]  # fmt: skip
    texts, wanted = encoder.encode([text for text, _ in asked]), [at for _, at in asked]
    trends = LiveStores.of(bundle).trends.log_share(np.arange(len(names)))
    assert bundle.text is not None
    projection = bundle.text.projection
    offset = encoder.encode(EVERYDAY).mean(axis=0) - projection.mean
    print("\n| moved by | " + " | ".join(f"weight {weight}" for weight in QUERY_WEIGHTS) + " |")
    print("|---|" + "---|" * len(QUERY_WEIGHTS))
    weights, vectors = bundle.manifest.ranking, bundle.catalog.vectors_of(np.arange(len(names)))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        cosines = projection.project(texts - share * offset) @ vectors.T
        cells = []
        for weight in QUERY_WEIGHTS:
            scores = weight * cosines / weights.temperature + weights.trending * trends
            top = np.argsort(-scores, axis=1)[:, :K]
            right = [has[row, at].mean() for row, at in zip(top, wanted, strict=True)]
            cells.append(f"{np.mean(right):.3f}")
        print(f"| {share} | {' | '.join(cells)} |", flush=True)


def _table(name: str, served: Served, profile: list[str]) -> None:
    found: dict[tuple[float, int], Scores] = {}
    for known in EVENTS_KNOWN:
        rows = served.rows(known, profile)
        default = float(profile_weights(np.array([known]))[0])
        for weight in (*WEIGHTS, default):
            found[weight, known] = served.ndcg(rows, known, weight)
        found[-1.0, known] = found[default, known]
    print(f"\n| {name}: weight | " + " | ".join(map(str, EVENTS_KNOWN)) + " |")
    print("|---|" + "---|" * len(EVENTS_KNOWN))
    for weight in WEIGHTS:
        print(
            f"| {weight} |", " | ".join(f"{found[weight, n].mean():.4f}" for n in EVENTS_KNOWN), "|"
        )
    default_row = [_against(found[-1.0, n], found[0.0, n]) for n in EVENTS_KNOWN]
    print("| default, against 0 |", " | ".join(default_row), "|")
    chosen = [_against(_crossed(found, n), found[0.0, n]) for n in EVENTS_KNOWN]
    print("| chosen on the other half, against 0 |", " | ".join(chosen), "|", flush=True)


def _crossed(found: dict[tuple[float, int], Scores], known: int) -> Scores:
    """Every user with the weight that is best for the other half of the users."""
    size = len(found[0.0, known])
    half = np.random.default_rng(0).permutation(size) < size // 2
    scores = np.empty(size)
    for mine in (half, ~half):
        best = max(WEIGHTS, key=lambda weight: found[weight, known][~mine].mean())
        scores[mine] = found[best, known][mine]
    return scores


def _against(scores: Scores, other: Scores) -> str:
    """Mean difference with a 95 % interval over users (bootstrap)."""
    difference: Any = scores - other
    draws = np.random.default_rng(1).integers(len(difference), size=(2000, len(difference)))
    low, high = np.percentile(difference[draws].mean(axis=1), (2.5, 97.5))
    return f"{difference.mean():+.4f} [{low:+.4f}, {high:+.4f}]"


if __name__ == "__main__":
    main()
