"""Fitting of the ranking weights: replays of a validation period through the real recommender."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Set
from pathlib import Path

import msgspec

from stream_app.bundle import Bundle, Priors, RankingWeights, load_bundle
from stream_app.datasets import EventTable
from stream_app.evaluation import RecommenderLists, past_rows, replay, users_of
from stream_app.recommender import Recommender

# Coordinates in the order in which they are fitted; the transition weight is the unit.
Setting = dict[str, float | bool]
GRID: tuple[tuple[Setting, ...], ...] = (
    tuple({"personal": weight} for weight in (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)),
    ({"lags": 3}, {"lags": 3, "both_ways": True}),
    ({"votes": 3},),
    tuple({"personal": weight} for weight in (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)),
    tuple({"trending": weight} for weight in (0.0, 0.05, 0.2, 0.4)),
)


def with_ranking(bundle: Bundle, ranking: RankingWeights, priors: Priors) -> Bundle:
    """The bundle, ranking with other weights and counts than its own."""
    manifest = msgspec.structs.replace(bundle.manifest, ranking=ranking)
    return dataclasses.replace(bundle, manifest=manifest, priors=priors)


def fit_ranking(
    path: Path,
    past: EventTable,
    stream: EventTable,
    start: RankingWeights,
    *,
    scored: Set[str],
    priors: Callable[[RankingWeights], Priors],
    on_result: Callable[[RankingWeights, float], None] = lambda *_: None,
) -> RankingWeights:
    """The weights with the best NDCG@10 on `stream` for the bundle at `path`, trained on `past`.

    `priors` counts `past` as weights say. One coordinate after the other, from `start`. NDCG
    decides, not the hit rate: it moves with every place of a list, so that it tells settings apart
    on fewer events.
    """
    past = past.of_users_in(stream)
    rows, returning = past_rows(past), users_of(past)

    def measure(ranking: RankingWeights) -> float:
        # Loaded anew: a replay adds items to its catalogue.
        recommender = Recommender(with_ranking(load_bundle(path), ranking, priors(ranking)))
        lists = RecommenderLists(recommender, rows)
        board = replay(stream, {"": lists}, returning, scored=scored)[""]
        on_result(ranking, board.all.ndcg)
        return board.all.ndcg

    best, best_ndcg = start, measure(start)
    for settings in GRID:
        for tried in [msgspec.structs.replace(best, **setting) for setting in settings]:
            if tried == best:
                continue
            if (ndcg := measure(tried)) > best_ndcg:
                best, best_ndcg = tried, ndcg
    return best
