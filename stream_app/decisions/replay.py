"""Makes a list again from a decision and the bundle of its release: scores, filters and order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas import Decision, RankedItem
from stream_app.bundle import Bundle
from stream_app.catalog import Catalog
from stream_app.errors import UserError
from stream_app.plan import Plan
from stream_app.ranking import Pin, Quota, Ranked, SeenIndex, Terms, UserBatch, user_batch
from stream_app.ranking.batch import NONE
from stream_app.ranking.candidates import Ranking
from stream_app.ranking.lists import ListBuilder
from stream_app.ranking.live.transitions import TransitionStore
from stream_app.ranking.rerankers.explore import seeds_of
from stream_app.ranking.scorers import Affinity
from stream_app.ranking.sources import New
from stream_app.ranking.wiring import filters_of, rerankers_of
from stream_app.users.codec import decode_state
from stream_app.users.state import UserState

Floats = NDArray[np.float32]


@dataclass(slots=True)
class _New:
    """The arrivals among the candidates: what the source of new ones proposed."""

    newest: NDArray[np.int32]

    def tried(self, items: NDArray[np.int32]) -> None:
        """Nothing is counted."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A list made again, and what was compared on the way."""

    items: tuple[RankedItem, ...]
    candidates: int
    forbidden: tuple[str, ...]
    """Candidates that the filters of the plan keep out, by the row: there should be none."""
    affinity_off: float | None
    """The largest difference between the kept affinities and those of the row's vector and the
    bundle's item vectors, in nats; None where affinity took no part."""


def replay(decision: Decision, bundle: Bundle) -> Replayed:
    """Make the list of a decision again; raises UserError for another release than the bundle's."""
    if decision.release != bundle.release:
        raise UserError(
            f"the list was made with release {decision.release}, but bundle {bundle.path} is "
            f"{bundle.release}; give the bundle of that release"
        )
    plan = msgspec.json.decode(decision.plan, type=Plan)
    state = decode_state(decision.row)
    catalog = _catalog(decision, bundle)
    count = len(decision.items)
    parts = np.frombuffer(decision.parts, "<f4").reshape(len(decision.scorers), count)
    scores = np.zeros((1, count), np.float32)
    for part in parts:  # in the order of the scorers, as they were added up
        scores += part
    users = _users(decision, state, catalog)
    ranking = Ranking(np.arange(count, dtype=np.int32)[None, :], scores)
    new = _New(_proposed_by(decision, New.name))
    for reranker in rerankers_of(catalog, new, plan, decision.length):
        ranking = reranker.rerank(ranking, users)
    length = decision.length if decision.request is None else decision.request.k
    return Replayed(
        items=_list(decision, catalog, ranking, min(length, decision.length)),
        candidates=count,
        forbidden=_forbidden(plan, users, decision),
        affinity_off=_affinity_off(decision, bundle, users, catalog, parts),
    )


def _catalog(decision: Decision, bundle: Bundle) -> Catalog:
    """The candidates first, then what they were explained by and what pins name."""
    also = (*decision.causes, *(item for pin in decision.pins for item in pin.items))
    ids = list(dict.fromkeys([*decision.items, *(one for one in also if one)]))
    vectors = bundle.catalog.vectors_of(
        np.array([bundle.catalog.index_of(item) for item in ids], np.int32)
    )
    for place, item in enumerate(ids):
        if (kept := decision.vectors.get(item)) is not None:
            vectors[place] = np.frombuffer(kept, "<f4")
    return Catalog(ids, vectors)


def _users(decision: Decision, state: UserState, catalog: Catalog) -> UserBatch:
    at_ms = 0 if decision.request is None else decision.made_ms
    users = user_batch([state], catalog, SeenIndex(catalog), now_ms=at_ms)
    users = replace(users, seeds=seeds_of([decision.rec_id]))
    quotas = []
    for at_most, members in decision.quotas:
        of_group = np.zeros(len(catalog) + 1, np.bool_)
        of_group[: len(decision.items)] = np.frombuffer(members, np.uint8)
        quotas.append(Quota(of_group, at_most))
    pins = tuple(
        Pin(pin.place - 1, np.array([catalog.index_of(item) for item in pin.items], np.int32))
        for pin in decision.pins
    )
    return replace(users, terms=Terms(pins=pins, quotas=tuple(quotas)))


def _list(
    decision: Decision, catalog: Catalog, ranking: Ranking, length: int
) -> tuple[RankedItem, ...]:
    proposed = np.append(np.frombuffer(decision.proposed, "<u2"), np.uint16(0))
    causes = np.array([catalog.index_of(cause) for cause in decision.causes] + [NONE], np.int32)
    items, scores = ranking.items[:, :length], ranking.scores[:, :length]
    # Position -1 reads the last entry, as everywhere.
    chances = ranking.propensities
    if chances is None:
        chances = np.full(ranking.items.shape, np.nan)
    ranked = Ranked(items, scores, proposed.take(items), chances[:, :length])
    builder = ListBuilder(catalog, decision.sources, TransitionStore.empty(len(catalog)), 0)
    return builder.of(ranked, causes.take(items))[0]


def _proposed_by(decision: Decision, source: str) -> NDArray[np.int32]:
    """Places of the candidates that a source proposed, `[n]`."""
    if source not in decision.sources:
        return np.zeros(0, np.int32)
    bit = 1 << decision.sources.index(source)
    return np.flatnonzero(np.frombuffer(decision.proposed, "<u2") & bit).astype(np.int32)


def _forbidden(plan: Plan, users: UserBatch, decision: Decision) -> tuple[str, ...]:
    found = {
        item
        for one in filters_of(plan)
        for item in one.forbidden(users)[1].tolist()
        if 0 <= item < len(decision.items)
    }
    return tuple(decision.items[item] for item in sorted(found))


def _affinity_off(
    decision: Decision, bundle: Bundle, users: UserBatch, catalog: Catalog, parts: Floats
) -> float | None:
    if Affinity.name not in decision.scorers:
        return None
    plan = msgspec.json.decode(decision.plan, type=Plan)
    weights = bundle.manifest.ranking
    scale = weights.personal * plan.weight(Affinity.name) / weights.temperature
    vectors = catalog.vectors[: len(decision.items)]
    affinities = vectors @ users.vectors[0] * np.float32(scale)
    kept = parts[decision.scorers.index(Affinity.name)]
    return float(np.abs(affinities - kept).max(initial=0.0))
