"""Fitting of the ranking weights: replays of a validation period through the real recommender."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Set
from pathlib import Path

import msgspec

from stream_app.bundle import RankingWeights, load_bundle
from stream_app.datasets import EventTable
from stream_app.evaluation import RecommenderLists, past_rows, replay, users_of
from stream_app.recommender import Recommender

# Coordinates in the order in which they are fitted; the transition weight is the unit.
GRID: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("personal", (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)),
    ("trending", (0.0, 0.05, 0.2, 0.4)),
)


def with_ranking(path: Path, ranking: RankingWeights) -> Recommender:
    """The recommender of the bundle at `path`, ranking with other weights than its own."""
    bundle = load_bundle(path)
    manifest = msgspec.structs.replace(bundle.manifest, ranking=ranking)
    return Recommender(dataclasses.replace(bundle, manifest=manifest))


def fit_ranking(
    path: Path,
    past: EventTable,
    stream: EventTable,
    start: RankingWeights,
    *,
    scored: Set[str],
    on_result: Callable[[RankingWeights, float], None] = lambda *_: None,
) -> RankingWeights:
    """The weights with the best NDCG@10 on `stream` for the bundle at `path`, trained on `past`.

    One coordinate after the other, from `start`. NDCG decides, not the hit rate: it moves with
    every place of a list, so that it tells settings apart on fewer events.
    """
    rows, returning = past_rows(past), users_of(past)

    def measure(ranking: RankingWeights) -> float:
        lists = RecommenderLists(with_ranking(path, ranking), rows)
        board = replay(stream, {"": lists}, returning, scored=scored)[""]
        on_result(ranking, board.all.ndcg)
        return board.all.ndcg

    best, best_ndcg = start, measure(start)
    for name, values in GRID:
        for value in values:
            if value == getattr(best, name):
                continue
            tried = msgspec.structs.replace(best, **{name: value})
            if (ndcg := measure(tried)) > best_ndcg:
                best, best_ndcg = tried, ndcg
    return best
