"""The pipeline of a release, put together: read it top to bottom to know how a list is made."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_app.bundle import Bundle
from stream_app.catalog import Catalog, ItemTable
from stream_app.errors import UserError
from stream_app.filter_names import parse_filter
from stream_app.objectives import Objectives
from stream_app.plan import EVERY_OTHER, USUAL, Plan
from stream_app.ranking import plugins
from stream_app.ranking.batch import Indices
from stream_app.ranking.filters import Bought, Clicked, Excluded, Served, Shown
from stream_app.ranking.fusion import first_seen, learned
from stream_app.ranking.grid import Grid
from stream_app.ranking.lists import ListBuilder
from stream_app.ranking.live.arrivals import Arrivals
from stream_app.ranking.live.counters import PartitionCounts
from stream_app.ranking.live.first_seen import FirstSeen
from stream_app.ranking.live.transitions import FAN_OUT, TransitionStore
from stream_app.ranking.live.trends import TOP, TrendStore
from stream_app.ranking.pipeline import Pipeline, Weighted
from stream_app.ranking.plugins import Plugins, SourceContext
from stream_app.ranking.rerankers import Best, Diverse, Explore, Ruled
from stream_app.ranking.rerankers.explore import Newest
from stream_app.ranking.scorers import (
    ActionValue,
    Affinity,
    Popularity,
    PopularityDiscount,
    ProfileMatch,
    RelatedTo,
    Transition,
)
from stream_app.ranking.sources import (
    New,
    Personal,
    Pinned,
    Popular,
    Profile,
    Related,
    Similar,
    Transitions,
    Trending,
)
from stream_app.ranking.stages import Filter, Reranker, Scorer, Source
from stream_app.retrieval import Neighbours, Within

FILTERS: dict[str, type[Bought] | type[Clicked] | type[Shown] | type[Served]] = {
    one.name: one for one in (Bought, Clicked, Shown, Served)
}

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
# What is similar or related to the last items, so many of them, is a candidate: as for transitions.
ITEM_PLACES = 3
# Neighbours kept of an item; the nearest are nearest to the user as well, or nothing is.
NEIGHBOURS = 16
# Related items of each of the last items: the first that the producer names.
RELATED = 10
# Added to the score of what is related to the newest item, in nats: about what it is worth that
# one in sixty moves on from there to the item, where nobody was counted yet (`TRANSITION_FLOOR`).
RELATED_NATS = 4.0
# The newest arrivals that can be drawn; more would each get a place so rarely that nothing is
# learned of them, and those that have had their turn make room (`NEW_LISTS`).
ARRIVALS = 32
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
    neighbours: Neighbours
    items: ItemTable
    """What producers say."""
    arrivals: Arrivals
    counts: PartitionCounts
    """What of the trends was counted in the stream, by partition."""
    first_seen: FirstSeen | None = None
    """Since when items are known; None where no ranker asks for it."""
    plugins: Plugins = field(default_factory=Plugins)

    @classmethod
    def of(cls, bundle: Bundle, items: ItemTable | None = None) -> LiveStores:
        """Start from what the training data taught; `items` is over the catalogue of `bundle`."""
        priors, ranking = bundle.priors, bundle.manifest.ranking
        until_ms = bundle.manifest.data.until_ms
        items = items or ItemTable(bundle.catalog)
        trends = TrendStore(priors.popularity, until_ms, ranking.trend_half_life_ms)
        return cls(
            TransitionStore(priors.successors, priors.counts),
            trends,
            ranking.both_ways,
            Neighbours(bundle.catalog, bundle.index, NEIGHBOURS),
            items,
            Arrivals(bundle.catalog, items, trends),
            PartitionCounts(ranking.trend_half_life_ms),
            first_seen(bundle),
        )

    def grow(self, catalog_size: int) -> None:
        """Make room for a catalogue of so many items."""
        self.transitions.grow(catalog_size)
        self.trends.grow(catalog_size)
        if self.first_seen is not None:
            self.first_seen.grow(catalog_size)

    def learn(
        self,
        catalog_size: int,
        previous: Indices,
        items: Indices,
        timestamps_ms: NDArray[np.int64],
        trending: NDArray[np.bool_],
        partitions: NDArray[np.int64],
    ) -> None:
        """Count events `[n]` on `items`, each after the items `previous` `[n, L]` of its user.

        Those that are `trending` count as popularity, too, under the number of the partition that
        they were read from. Positions are those of a catalogue of
        `catalog_size` items, -1 for an item not in it.
        """
        self.grow(catalog_size)
        self.transitions.learn(previous, items, self.both_ways)
        if self.first_seen is not None:
            self.first_seen.learn(items, timestamps_ms)
        trending = trending & (items >= 0)
        items, timestamps_ms = items[trending], timestamps_ms[trending]
        self.trends.learn(items, timestamps_ms)
        self.counts.count(partitions[trending], items, timestamps_ms)


def build_pipeline(
    bundle: Bundle,
    live: LiveStores,
    *,
    k: int,
    plan: Plan = USUAL,
    grid: Grid | None = None,
    within: Within | None = None,
) -> Pipeline:
    """The pipeline that makes lists of `k` items as `plan` says.

    Pipelines that do not run at the same time can share `grid` and `within`, their memory. Raises
    UserError for a source or weight that does not exist, and for values of actions without an
    action head.
    """
    return Pipeline(
        bundle.catalog,
        sources=_sources(bundle, live, plan, k, within or Within(bundle.catalog)),
        last_resort=Popular(bundle.catalog, bundle.priors.popularity, k),
        filters=[*filters_of(plan), Excluded()],
        scorers=_scorers(bundle, live, plan),
        rerankers=rerankers_of(bundle.catalog, live.arrivals, plan, k),
        k=k,
        grid=grid,
    )


def _sources(bundle: Bundle, live: LiveStores, plan: Plan, k: int, within: Within) -> list[Source]:
    usual = {
        Personal.name: max(PERSONAL_DEPTH, 2 * k),
        Transitions.name: TRANSITION_PLACES * FAN_OUT,
        Trending.name: TOP,
        Similar.name: 0,
        Related.name: ITEM_PLACES * RELATED,
        New.name: ARRIVALS,
    }
    if bundle.text is not None:
        usual[Profile.name] = max(PERSONAL_DEPTH, 2 * k)
    others = _plugged(bundle, live, plan, usual)
    most = {name: plan.most(name, count) for name, count in usual.items()}
    made: dict[str, Source] = {
        Personal.name: Personal(bundle.index, within, most[Personal.name]),
        Transitions.name: Transitions(live.transitions, -(-most[Transitions.name] // FAN_OUT)),
        Trending.name: Trending(live.trends, most[Trending.name]),
        Similar.name: Similar(live.neighbours, ITEM_PLACES, _each(most[Similar.name])),
        Related.name: Related(live.items.related, ITEM_PLACES, _each(most[Related.name])),
        New.name: New(live.arrivals, most[New.name]),
    }
    if bundle.text is not None:
        made[Profile.name] = Profile(bundle.index, within, most[Profile.name])
    return [*(source for name, source in made.items() if most[name]), Pinned(), *others]


def _plugged(bundle: Bundle, live: LiveStores, plan: Plan, known: Collection[str]) -> list[Source]:
    """Sources of other distributions that the plan names."""
    found: list[Source] = []
    for name, most in plan.sources:
        if name in known or name == EVERY_OTHER:
            continue
        context = SourceContext(bundle.catalog, bundle.index, live, live.items, int(most))
        source = live.plugins.get(name, context)
        if source is None:
            _refuse_unknown("source", [name], [*known, *plugins.names()])
        elif most:
            found.append(source)
    return found


def _each(most: int) -> int:
    """Of so many items, how many belong to each of the last items."""
    return -(-most // ITEM_PLACES)


def _scorers(bundle: Bundle, live: LiveStores, plan: Plan) -> list[Weighted]:
    scorers = [
        *_fused(bundle, live),
        Weighted(
            RELATED_NATS,
            RelatedTo(
                live.items.related,
                ITEM_PLACES,
                _each(plan.most(Related.name, ITEM_PLACES * RELATED)),
                VOTE_DECAY,
            ),
        ),
    ]
    if bundle.text is not None:
        match = ProfileMatch(bundle.catalog, bundle.manifest.ranking.temperature)
        scorers.append(Weighted(1.0, match))
    _refuse_unknown("weight", dict(plan.weights), [one.scorer.name for one in scorers])
    return [
        *(Weighted(one.weight * plan.weight(one.scorer.name), one.scorer) for one in scorers),
        *_discount(live, plan.objectives),
        *_action_value(bundle, plan.objectives),
    ]


def _fused(bundle: Bundle, live: LiveStores) -> list[Weighted]:
    """How likely an item is to come next: by the release's ranker, or else by a weighted sum."""
    catalog, weights, ranker = bundle.catalog, bundle.manifest.ranking, bundle.ranker
    affinity = Affinity(catalog, weights.temperature)
    transition = Transition(live.transitions, vote_weights(weights.votes), TRANSITION_FLOOR)
    popularity = Popularity(live.trends)
    if ranker is None:
        return [
            Weighted(weights.personal, affinity),
            Weighted(weights.transition, transition),
            Weighted(weights.trending, popularity),
        ]
    scorers: dict[str, Scorer] = {
        "affinity": affinity,
        "transition": transition,
        "last transition": Transition(live.transitions, vote_weights(1), TRANSITION_FLOOR),
        "popularity": popularity,
    }
    since = live.first_seen
    return [learned(bundle, ranker, scorers, trends=live.trends, items=live.items, since=since)]


def _refuse_unknown(kind: str, given: Iterable[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known and name != EVERY_OTHER:
            raise UserError(f"{kind} {name!r} is unknown; use some of: {', '.join(known)}")


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


def rerankers_of(catalog: Catalog, newest: Newest, plan: Plan, k: int) -> list[Reranker]:
    """What orders candidates, in turn, into lists of `k` items."""
    width = k + RESERVE
    rerankers: list[Reranker] = [Best(width)]
    if diversity := plan.objectives.diversity:
        width = k + DIVERSE_RESERVE
        rerankers = [Best(width), Diverse(catalog, diversity, k)]
    most = plan.most(New.name, ARRIVALS)
    return [Explore(newest, most, plan.exploration, k, [Ruled(rerankers, k, width)])]


def filters_of(plan: Plan) -> list[Filter]:
    """What keeps items out of every list, whoever asks; raises UserError."""
    return [_filter(name) for name in plan.filters]


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
