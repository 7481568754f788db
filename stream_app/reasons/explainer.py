"""Explains the list of one user: parts of each score, and the events that carried it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from schemas import RankedItem
from stream_app.advance import Advancer
from stream_app.bundle import Bundle
from stream_app.errors import UserError
from stream_app.profiles import Profiles
from stream_app.ranking import FREE, Pipeline, SeenIndex, Terms, user_batch
from stream_app.ranking.batch import NONE, Indices, UserBatch
from stream_app.ranking.explain import (
    considered,
    forbidding,
    part_names,
    proposed,
    proposing,
    score_parts,
    with_terms,
)
from stream_app.ranking.pipeline import TERMS
from stream_app.ranking.scorers import ProfileMatch
from stream_app.reasons.case import Case, LeftOut, Wanted
from stream_app.reasons.leave_one_out import encoded, without_each
from stream_app.reasons.result import (
    Cause,
    ExplainedItem,
    Explanation,
    Part,
    RuleEffect,
    Status,
)
from stream_app.reasons.rules import about, effects, name_excluding
from stream_app.reasons.steps import Steps, finished
from stream_app.rules import LiveRule
from stream_app.users.actions import action_name
from stream_app.users.state import HISTORY_LENGTH, UserState, events_of

RINGS_A_STEP = 32
"""Encoded together in a step: 20 ms of processor time for full rings. All 101 of a full ring at
once take 60 ms, in such steps 80."""
CAUSES = 3
"""Events named for an item; a fourth hardly ever adds what a reader can use."""

SAME_EVIDENCE = {
    "affinity": "personal",
    "transition": "transitions",
    "last transition": "transitions",
    "popularity": "trending",
    "related": "related",
    "profile": "profile",
}
"""The source that proposes by what a part of a score goes by."""


class Explainer:
    """Explains lists of one pipeline and its live counts; changes nothing in them."""

    def __init__(
        self,
        bundle: Bundle,
        advancer: Advancer,
        seen: SeenIndex,
        pipeline: Pipeline,
        terms: Terms = FREE,
        rules: tuple[LiveRule, ...] = (),
        profiles: Profiles | None = None,
        query: str | None = None,
    ) -> None:
        """`rules` are what `terms` were made of, beside what a request wants."""
        self._bundle = bundle
        self._catalog = bundle.catalog
        self._advancer = advancer
        self._seen = seen
        self._pipeline = pipeline
        self._terms = terms
        self._rules = rules
        self._profiles = profiles or Profiles(bundle)
        self._query = query
        self._scorers = pipeline.stages.scorers
        self._names = part_names(self._scorers)

    def explain(
        self, state: UserState, item_id: str | None = None, *, causes: int = CAUSES
    ) -> Explanation:
        """Explain the list for a row, or one item, in it or not; with at most `causes` events each.

        A row of another release is replayed from its ring first, as a worker does at the user's
        next event. Raises UserError for an item that the catalogue does not hold.
        """
        return self._explanation(finished(self._case(state, item_id)), state, causes)

    def steps(
        self, state: UserState, item_id: str | None = None, *, causes: int = CAUSES
    ) -> Steps[Explanation]:
        """As `explain`, in steps between which lists may be made, and the catalogue may change."""
        case = yield from self._case(state, item_id, rings_a_step=RINGS_A_STEP)
        return self._explanation(case, state, causes)

    def of_list(
        self, state: UserState, made: Sequence[RankedItem], *, causes: int = CAUSES
    ) -> Explanation:
        """Explain the items of a list that this pipeline has made, as `explain`."""
        listed = Wanted(
            np.array([self._catalog.index_of(item.item_id) for item in made], np.int32),
            [item.rank for item in made],
            [item.sources for item in made],
        )
        return self._explanation(finished(self._case(state, None, listed)), state, causes)

    def _explanation(self, case: Case, state: UserState, causes: int) -> Explanation:
        return Explanation(
            release=self._bundle.release,
            backend=self._bundle.encoder.backend,
            k=self._pipeline.k,
            candidates=len(case.chosen_from.items),
            ring=len(events_of(state.history)),
            events=state.events,
            replayed_from=state.release if case.replayed else None,
            degraded=case.left_out is None,
            items=tuple(
                self._item(case, at, causes=causes) for at in range(len(case.wanted.items))
            ),
            rules=case.rules,
        )

    def _case(
        self,
        state: UserState,
        item_id: str | None,
        listed: Wanted | None = None,
        rings_a_step: int = 1 + HISTORY_LENGTH,
    ) -> Steps[Case]:
        update = self._advancer.begin(state)
        replayed = bool(update.pending and state.history)
        self._advancer.advance([update])
        self._profiles.read([update])
        user = user_batch([update.state], self._catalog, self._seen)
        queried = self._profiles.ask([self._query])
        user = self._profiles.bring(replace(user, terms=self._terms), [update.state], queried)
        whole = wanted = listed or self._listed(user)
        if item_id is not None:
            wanted = self._only(wanted, user, item_id)
        size = len(self._catalog)
        parts = score_parts(self._scorers, user, wanted.items, size)[:, 0]
        chosen_from = considered(self._pipeline, user, size)
        forbidden = forbidding(self._pipeline, user, wanted.items)
        forbidden = name_excluding(forbidden, self._rules, wanted.items, size)
        rules = self._effects(user, whole.items)
        yield  # from here on only items that the catalogue had until here are asked for
        left_out = None
        if not update.broken:
            rings = without_each(state.history)
            left_out = yield from self._left_out(rings, user, wanted.items, rings_a_step)
        return Case(
            update.state,
            replayed,
            wanted,
            with_terms(parts, self._terms, wanted.items),
            chosen_from,
            forbidden,
            left_out,
            rules,
            frozenset({ProfileMatch.name} if user.profiles is None else ()),
        )

    def _effects(self, user: UserBatch, listed: Indices) -> tuple[RuleEffect, ...]:
        if not self._rules:
            return ()
        candidates = proposed(self._pipeline, user)
        return effects(self._rules, self._terms, listed, candidates, len(self._catalog))

    def _listed(self, user: UserBatch) -> Wanted:
        ranked = self._pipeline.rank(user, {})
        held = ranked.items[0] != NONE
        names = [source.name for source in self._pipeline.sources]
        marks = ranked.sources[0][held].tolist()
        return Wanted(
            ranked.items[0][held],
            list(range(1, 1 + int(held.sum()))),
            [tuple(name for bit, name in enumerate(names) if mark >> bit & 1) for mark in marks],
        )

    def _only(self, listed: Wanted, user: UserBatch, item_id: str) -> Wanted:
        item = self._catalog.index_of(item_id)
        if item == NONE:
            raise UserError(
                f"item {item_id!r} is not among the {len(self._catalog)} items of bundle "
                f"{self._bundle.path}; check the id. What workers first saw in the stream is known "
                "to them only"
            )
        items = np.array([item], np.int32)
        at = listed.items.tolist().index(item) if item in listed.items else None
        if at is None:
            return Wanted(items, [None], [proposing(self._pipeline, user, item)])
        return Wanted(items, [listed.ranks[at]], [listed.sources[at]])

    def _left_out(
        self, rings: Sequence[UserState], user: UserBatch, items: Indices, a_step: int
    ) -> Steps[LeftOut | None]:
        rows: list[UserState] = []
        for start in range(0, len(rings), a_step):
            some = encoded(self._advancer, rings[start : start + a_step])
            if some is None:
                return None
            rows += some
            yield
        users = user_batch(rows, self._catalog, self._seen)
        if user.profiles is not None:  # what is said of the user stays as it is
            users = replace(users, profiles=user.profiles.repeat(len(rows), axis=0))
        parts = score_parts(self._scorers, users, items, len(self._catalog))
        whole = with_terms(parts[:, 0], self._terms, items).sum(axis=0)
        return LeftOut(parts[:, :1] - parts[:, 1:], whole)

    def _item(self, case: Case, at: int, *, causes: int) -> ExplainedItem:
        item = int(case.wanted.items[at])
        score = float(case.parts[:, at].sum())
        rank, sources = case.wanted.ranks[at], case.wanted.sources[at]
        filters = tuple(name for name, items in case.forbidden.items() if item in items)
        return ExplainedItem(
            item_id=self._catalog.ids[item],
            status=_status(rank, filters, item in case.chosen_from.items),
            rank=rank,
            place=case.chosen_from.place_of(item, score),
            score=_rounded(score),
            sources=sources,
            parts=self._parts(case, at),
            causes=self._causes(case, at, causes),
            older=self._older(case, at, score),
            filters=filters,
            rules=about(self._rules, item, len(self._catalog)),
        )

    def _older(self, case: Case, at: int, score: float) -> float | None:
        """What has left the ring, but not the state that goes on from it."""
        kept = case.state.events > len(events_of(case.state.history)) and not case.replayed
        if case.left_out is None or not kept or not self._bundle.encoder.state_size:
            return None
        return _rounded(score - float(case.left_out.whole[at]))

    def _parts(self, case: Case, at: int) -> tuple[Part, ...]:
        scores = case.parts[:, at]
        lifts = scores - case.chosen_from.means
        raised = np.maximum(lifts, 0.0)
        shares = raised / max(float(raised.sum()), 1e-9)
        names = [*self._names]
        if self._terms.boosts is not None:
            names.append(TERMS)
        return tuple(
            Part(
                name,
                SAME_EVIDENCE.get(name),
                *map(_rounded, (scores[place], lifts[place], shares[place])),
            )
            for place, name in enumerate(names)
            if name not in case.silent
        )

    def _causes(self, case: Case, at: int, most: int) -> tuple[Cause, ...]:
        """The events that raise the score of the `at`-th item, the strongest first."""
        if case.left_out is None:
            return ()
        events = events_of(case.state.history)
        items = self._catalog.lookup(np.ascontiguousarray(events["item"]))
        differences = case.left_out.differences[:, :, at]
        totals = differences.sum(axis=0)
        order = np.argsort(-totals, kind="stable")[:most].tolist()
        return tuple(
            Cause(
                place=len(events) - event,
                item_id=None if items[event] == NONE else self._catalog.ids[items[event]],
                action=action_name(int(events["action"][event])),
                timestamp_ms=int(events["timestamp_ms"][event]),
                contribution=_rounded(totals[event]),
                by={
                    name: _rounded(differences[place, event])
                    for place, name in enumerate(self._names)
                    if name not in case.silent
                },
            )
            for event in order
            if totals[event] > 0
        )


def _status(rank: int | None, filters: tuple[str, ...], candidate: bool) -> Status:
    if rank is not None:
        return Status.LISTED
    if filters:
        return Status.FILTERED
    return Status.OUTRANKED if candidate else Status.NOT_PROPOSED


def _rounded(value: float | np.floating) -> float:
    return round(float(value), 4)
