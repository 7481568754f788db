"""The baselines by name."""

from __future__ import annotations

from functools import partial

from stream_app.evaluation.baselines import (
    DAY_MS,
    Baseline,
    DecayedPopularity,
    Popularity,
    TransitionCounts,
)
from stream_app.evaluation.counts import DecayedPopular, Popular, Transitions
from stream_app.evaluation.methods import Method
from stream_app.evaluation.neighbours import Als, ItemKnn, LastItem
from stream_app.evaluation.protocols import REPLAY, Split
from stream_app.evaluation.replay import BaselineLists
from stream_app.evaluation.run import LiveMethod

COUNTS = (Popular.name, DecayedPopular.name, Transitions.name)
"""Baselines that count; in a replay they learn from the stream."""
NEIGHBOURS = (LastItem.name, ItemKnn.name, Als.name)
"""Baselines of the package `implicit`."""
BASELINES = (*COUNTS, *NEIGHBOURS)


def make_baseline(
    name: str, protocol: str, *, k: int, seed: int, threads: int
) -> Method | LiveMethod:
    """The baseline called `name`, one of `BASELINES`, for lists of up to `k` items."""
    if protocol == REPLAY and name in COUNTS:
        return LiveMethod(name, partial(_warmed, name, k))
    made: dict[str, Method] = {
        one.name: one
        for one in (
            Popular(),
            DecayedPopular(),
            Transitions(),
            LastItem(),
            ItemKnn(),
            Als(seed, threads),
        )
    }
    return made[name]


def _warmed(name: str, k: int, split: Split) -> BaselineLists:
    return BaselineLists(_baseline(name, split), split.past, k)


def _baseline(name: str, split: Split) -> Baseline:
    if name == Popular.name:
        return Popularity(repeats=split.repeats)
    if name == Transitions.name:
        return TransitionCounts(repeats=split.repeats)
    tuned = DecayedPopular()
    tuned.fit(split)
    return DecayedPopularity(tuned.half_life_days * DAY_MS, repeats=split.repeats)
