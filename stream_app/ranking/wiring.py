"""The pipeline of a release, put together: read it top to bottom to know how a list is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.bundle import Bundle
from stream_app.catalog import Catalog
from stream_app.errors import UserError
from stream_app.filter_names import parse_filter
from stream_app.objectives import Objectives
from stream_app.ranking.batch import Indices
from stream_app.ranking.filters import Bought, Clicked, Excluded
from stream_app.ranking.grid import Grid
from stream_app.ranking.lists import ListBuilder
from stream_app.ranking.live.transitions import TransitionStore
from stream_app.ranking.live.trends import TrendStore
from stream_app.ranking.pipeline import Pipeline, Weighted
from stream_app.ranking.rerankers import Best, Diverse
from stream_app.ranking.scorers import (
    ActionValue,
    Affinity,
    Popularity,
    PopularityDiscount,
    Transition,
)
from stream_app.ranking.sources import Personal, Popular, Transitions, Trending
from stream_app.ranking.stages import Filter, Reranker

FILTERS: dict[str, type[Bought] | type[Clicked]] = {one.name: one for one in (Bought, Clicked)}
DEFAULT_FILTERS = ("bought", "clicked")
NEXT_EVENT = Objectives()

# Deep enough that a list is left when most of the nearest items were seen already: on MovieLens,
# where users have hundreds, 160 finds one hit in 300 more.
PERSONAL_DEPTH = 64
# Successors of the last items are candidates. More places cost as much again and add next to
# nothing, because what follows the items before them has mostly been seen.
TRANSITION_PLACES = 3
# The last items vote on a candidate, each a little less. Chosen inside the training window of
# MovieLens small, where weights of 0.6 to 0.9 are within 1.5 % of it.
VOTE_DECAY = 0.8
# A transition that was never counted is about as likely as any of a few thousand items.
TRANSITION_FLOOR = 3e-4
# Rerankers may drop as many items as a list holds.
RESERVE = 10
# A diverse list is chosen from as many more.
DIVERSE_RESERVE = 50


@dataclass(frozen=True, slots=True)
class LiveStores:
    """What the stream teaches, by catalogue position."""

    transitions: TransitionStore
    trends: TrendStore
    both_ways: bool
    """Whether an earlier item counts as following a later one."""

    @classmethod
    def of(cls, bundle: Bundle) -> LiveStores:
        """Start from what the training data taught."""
        priors, ranking = bundle.priors, bundle.manifest.ranking
        until_ms = bundle.manifest.data.until_ms
        return cls(
            TransitionStore(priors.successors, priors.counts),
            TrendStore(priors.popularity, until_ms, ranking.trend_half_life_ms),
            ranking.both_ways,
        )

    def grow(self, catalog_size: int) -> None:
        """Make room for a catalogue of so many items."""
        self.transitions.grow(catalog_size)
        self.trends.grow(catalog_size)

    def learn(
        self,
        catalog_size: int,
        previous: Indices,
        items: Indices,
        timestamps_ms: NDArray[np.int64],
        trending: NDArray[np.bool_],
    ) -> None:
        """Count events `[n]` on `items`, each after the items `previous` `[n, L]` of its user.

        Those that are `trending` count as popularity, too. Positions are those of a catalogue of
        `catalog_size` items, -1 for an item not in it.
        """
        self.grow(catalog_size)
        self.transitions.learn(previous, items, self.both_ways)
        self.trends.learn(items[trending], timestamps_ms[trending])


def build_pipeline(
    bundle: Bundle,
    live: LiveStores,
    *,
    k: int,
    filters: Sequence[str] = DEFAULT_FILTERS,
    objectives: Objectives = NEXT_EVENT,
    grid: Grid | None = None,
) -> Pipeline:
    """The pipeline that makes lists of `k` items.

    Pipelines that do not run at the same time can share the scratch memory `grid`. Raises
    UserError for an unknown filter, and for values of actions without an action head.
    """
    catalog, weights = bundle.catalog, bundle.manifest.ranking
    return Pipeline(
        catalog,
        sources=[
            Personal(bundle.index, max(PERSONAL_DEPTH, 2 * k)),
            Transitions(live.transitions, TRANSITION_PLACES),
            Trending(live.trends),
        ],
        last_resort=Popular(catalog, bundle.priors.popularity, k),
        filters=[*map(_filter, filters), Excluded()],
        scorers=[
            Weighted(weights.personal, Affinity(catalog, weights.temperature)),
            Weighted(
                weights.transition,
                Transition(live.transitions, vote_weights(weights.votes), TRANSITION_FLOOR),
            ),
            Weighted(weights.trending, Popularity(live.trends)),
            *_discount(live, objectives),
            *_action_value(bundle, objectives),
        ],
        rerankers=_rerankers(catalog, objectives, k),
        k=k,
        grid=grid,
    )


def _discount(live: LiveStores, objectives: Objectives) -> list[Weighted]:
    weight = objectives.popularity_discount
    return [Weighted(weight, PopularityDiscount(live.trends))] if weight else []


def _action_value(bundle: Bundle, objectives: Objectives) -> list[Weighted]:
    values = objectives.values_by_action()
    if values is None:
        return []
    if bundle.action_head is None:
        raise UserError(
            f"bundle {bundle.path}: action_values is {objectives.action_values!r}, but the bundle "
            "has no action head; train one with `stream-app train --action-loss 0.1`, or leave "
            "action_values empty"
        )
    return [Weighted(1.0, ActionValue(bundle.action_head, bundle.catalog, values))]


def _rerankers(catalog: Catalog, objectives: Objectives, k: int) -> list[Reranker]:
    if not objectives.diversity:
        return [Best(k + RESERVE)]
    return [Best(k + DIVERSE_RESERVE), Diverse(catalog, objectives.diversity, k)]


def vote_weights(votes: int) -> tuple[float, ...]:
    """How much each of the last `votes` items says, newest first."""
    return tuple(VOTE_DECAY**place for place in range(votes))


def build_lists(bundle: Bundle, live: LiveStores, pipeline: Pipeline) -> ListBuilder:
    """What turns the arrays of `pipeline` into lists that name sources and reasons."""
    names = [source.name for source in pipeline.sources]
    return ListBuilder(bundle.catalog, names, live.transitions, TRANSITION_PLACES)


def _filter(text: str) -> Filter:
    try:
        name, return_after_ms = parse_filter(text)
    except ValueError as error:
        raise UserError(str(error)) from None
    return FILTERS[name](return_after_ms)
