"""The facade: events of a batch in, new user rows and ranked lists out. No Kafka in sight.

recommender = Recommender.load("examples/movielens/bundle")
lists = recommender.recommend([Click(user_id="ann", item_id="318", timestamp_ms=0)])
print([item.item_id for item in lists[0].items])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import msgspec

from schemas.decisions import Decision
from schemas.messages import (
    Click,
    Impression,
    Purchase,
    RankedItem,
    Recommendation,
    RecommendationRequest,
    ServingModel,
)
from schemas.profiles import Profile
from stream_app.advance import Advancer, UserUpdate
from stream_app.answers import Answer, Answers, Asked
from stream_app.applying import NEW, Applier
from stream_app.bundle import Bundle, load_bundle
from stream_app.decisions import decision_of, is_kept
from stream_app.errors import UserError
from stream_app.filter_names import SERVED, check_remembered, remembers
from stream_app.listing import Lists, Made
from stream_app.live_catalogue import CatalogueStatus, LiveCatalogue
from stream_app.memory import RowsInMemory
from stream_app.plan import USUAL, Plan
from stream_app.profiles import Profiles
from stream_app.ranking import LiveStores, Pipelines, SeenIndex, Shown, Tally
from stream_app.reasons import Explainer, Explanation, Steps, explained, finished
from stream_app.retrieval import LiveIndex
from stream_app.rules import RuleBook
from stream_app.served import NOBODY, remember, repeating
from stream_app.source_messages import (
    ProfileMessage,
    ShownMessage,
    SourceMessage,
    rec_id,
    source_impression,
    trigger,
)
from stream_app.text import TextEncoder
from stream_app.treatments import Asking, Treatment, Treatments
from stream_app.trends import SharedTrends
from stream_app.users.features import FEATURES
from stream_app.users.shown import apply_impression, before_last_list
from stream_app.users.state import (
    Outcome,
    UserState,
)

__all__ = ["NEW", "Processed", "ProfileMessage", "Recommender", "SourceMessage"]

_NOT_FINITE = "the encoder gave a vector that is not finite; made without it"


@dataclass(frozen=True, slots=True)
class Processed:
    """What follows from a batch."""

    states: dict[str, UserState]
    """The row of every user of the batch, to be written before the batch is acknowledged."""
    recommendations: list[Recommendation]
    """One list for each of them, in the same order: also when all events were applied before."""
    outcomes: list[Outcome]
    """What was done with each message."""
    profile_outcomes: list[Outcome]
    """What was done with each profile."""
    stages: dict[str, float]
    """Processor seconds of the calling thread in `apply`, `encode`, `retrieve`, `rank`, `build`."""
    decisions: list[Decision]
    """What lists were made from, for the share of them of which it is kept."""


class Recommender:
    """One release, serving; use from one thread at a time."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        k: int = 10,
        plan: Plan = USUAL,
        clock: Callable[[], int] | None = None,
        room: int | None = None,
        decisions: float = 0.0,
        text_encoder: TextEncoder | None = None,
        counted: bool = False,
    ) -> None:
        """Lists hold `k` items and are made as `plan` says, unless scenarios say otherwise.

        `clock` gives the Unix ms of lists, at which items are available; at most `room` items that
        the release does not have may join. Of a share `decisions` of all lists it is kept what
        they were made from. `text_encoder` reads profiles and queries. With `counted` it is counted
        what becomes of candidates and lists, for metrics. Raises UserError for a
        source or weight that does not exist, for values of actions where the bundle has no action
        head, and for a text encoder that the bundle was not trained with.
        """
        spec = bundle.manifest.encoder
        needed = spec.features
        if needed != FEATURES:
            raise UserError(
                f"bundle {bundle.path}: its encoder takes {needed} features of an event, this "
                f"release of stream-app makes {FEATURES}; rebuild it with `stream-app train`"
            )
        index = LiveIndex(bundle.index, bundle.catalog)
        self.bundle = bundle = replace(bundle, index=index)
        # Takes records of items between two calls, in the same thread.
        self.catalogue = LiveCatalogue(bundle, index, room)
        self._clock = clock or _wall_clock
        self._advancer = Advancer(
            bundle.encoder, bundle.catalog, bundle.release, window=spec.window
        )
        self._seen = SeenIndex(bundle.catalog)
        self.live = LiveStores.of(bundle, self.catalogue.table)
        """What the stream has taught so far."""
        self._applier = Applier(
            self._advancer, bundle.catalog, self.live, bundle.manifest.ranking.lags
        )
        self.trends = SharedTrends(bundle.catalog, self.live, bundle.release)
        """Counts of all workers; takes records of them between two calls, in the same thread."""
        self._profiles = Profiles(bundle, text_encoder)
        self._k = k
        self._kept_share = decisions
        self._pipelines = Pipelines(bundle, self.live)
        self._pipelines.get(plan, k)
        rules = RuleBook(bundle.catalog, self.catalogue.table, bundle.priors.popularity)
        self.treatments = Treatments(self.catalogue.table, plan, self._check, rules)
        """Scenarios, experiments and rules; takes records between two calls, in the same thread."""
        self._filters = plan.filters
        self._remembers_lists = remembers(plan.filters, SERVED)
        self.tally = Tally(bundle.catalog) if counted else None
        self._lists = Lists(
            bundle.catalog,
            self._pipelines,
            self.treatments,
            self._seen,
            self._profiles,
            k,
            self.tally,
        )
        self._answers = Answers(self._advancer, self._profiles, self._lists)
        manifest = bundle.manifest
        self._model = ServingModel(manifest.name, manifest.version, bundle.encoder.backend)
        self._memory = RowsInMemory()
        self._offsets = count()

    @classmethod
    def load(
        cls,
        bundle: Path | str,
        *,
        k: int = 10,
        plan: Plan = USUAL,
        clock: Callable[[], int] | None = None,
        backend: str = "auto",
        index: str = "auto",
        text_encoder: Path | str | None = None,
    ) -> Recommender:
        """Load the bundle in a directory and serve it; raises BundleError, and TextError."""
        loaded = load_bundle(bundle, backend=backend, index=index)
        reader = None if text_encoder is None else TextEncoder.load(text_encoder)
        return cls(
            loaded,
            k=k,
            plan=plan,
            clock=clock,
            text_encoder=reader,
        )

    def now(self) -> int:
        """The time by the clock of lists, Unix ms."""
        return self._clock()

    def watch(
        self, messages: Sequence[SourceMessage], states: Mapping[str, UserState | None]
    ) -> None:
        """Learn from events of users whom another release serves; `states` as in `process`."""
        self._applier.apply(messages, states)

    def look(self) -> tuple[CatalogueStatus, Shown | None]:
        """Figures of the catalogue and, if counted, of what lists showed of it lately.

        They are of the present time, at which experiments begin or end, too.
        """
        now_ms = self._begin()
        self.treatments.experiments.split(now_ms)
        shown = self.tally.shown(now_ms) if self.tally is not None else None
        return self.catalogue.status(), shown

    def recommend(self, events: Sequence[Click | Purchase]) -> list[Recommendation]:
        """Apply events in the order given and return a fresh list for each of their users.

        Keeps the rows of the last users in memory; a worker keeps them in its store and calls
        `process`.
        """
        memory = self._memory
        messages = [SourceMessage(event, "memory", 0, next(self._offsets)) for event in events]
        users = {event.user_id for event in events}
        processed = self.process(messages, {user: memory.get(user) for user in users})
        self._memory.keep(processed.states)
        return processed.recommendations

    def introduce(self, *profiles: Profile) -> list[Recommendation]:
        """Take up what is said of users, and return a list for each; keeps rows as `recommend`."""
        said = [
            ProfileMessage(one.user_id, one, "said in memory", 0, next(self._offsets), 0)
            for one in profiles
        ]
        states = {one.user_id: self._memory.get(one.user_id) for one in said}
        processed = self.process((), states, said)
        self._memory.keep(processed.states)
        return processed.recommendations

    def show(self, *impressions: Impression) -> None:
        """Bring impressions into the rows that `recommend` keeps, for the filter `shown`."""
        for impression in impressions:
            source = ShownMessage(impression, "shown in memory", 0, next(self._offsets))
            state = self._memory.get(impression.user_id) or UserState()
            state, _ = apply_impression(state, source_impression(source))
            self._memory.keep({impression.user_id: state})

    def answer(self, *requests: RecommendationRequest) -> list[Recommendation]:
        """A list for each request, of the users whose rows `recommend` keeps."""
        asked = [Asked(one, "memory", 0, next(self._offsets)) for one in requests]
        return self.answer_all(asked, self._memory, {})[0]

    def answer_all(
        self,
        asked: Sequence[Asked],
        states: Mapping[str, UserState | None],
        stages: dict[str, float],
    ) -> tuple[list[Recommendation], list[Decision]]:
        """A list for each request; `states` holds the row of every user asked for, as `process`.

        Also the decisions of those lists of which they are kept. Adds processor seconds of the
        calling thread to `stages`.
        """
        now_ms = self._begin()
        ids = [rec_id(one.request.user_id, one) for one in asked]
        answers = self._answers.make(asked, states, now_ms, stages, self._kept(ids))
        model = self._serving_model()
        made = []
        for one, list_id, answer in zip(asked, ids, answers, strict=True):
            user_id, state = one.request.user_id, states.get(one.request.user_id)
            made.append(
                Recommendation(
                    rec_id=list_id,
                    user_id=user_id,
                    items=self._explained(answer) if one.request.explain else answer.made.items,
                    model=model,
                    generated_at_ms=now_ms,
                    request_id=one.request.request_id,
                    applied=state.offsets if state is not None else {},
                    experiment=answer.made.treatment.experiment,
                    degraded=_NOT_FINITE if answer.broken else answer.made.treatment.degraded,
                    rules=answer.made.rules,
                )
            )
        asking = [answer.asking for answer in answers]
        return made, self._decisions(made, asking, [answer.made for answer in answers])

    def read_texts_with(self, encoder: TextEncoder | None) -> None:
        """From now on read profiles and queries with this one.

        Raises TextError for one that the release was not trained with.
        """
        self._profiles.use(encoder)

    def explain(self, user: str | UserState, item_id: str | None = None) -> Explanation:
        """Why the list of a user, an id that `recommend` keeps or a row, is as it is; or one item.

        Changes nothing. Leaves out every event once, which takes time (docs/explaining.md). Raises
        UserError for a user who is not kept, and an item that the catalogue does not hold.
        """
        state = self._memory.get(user) if isinstance(user, str) else user
        if state is None:
            raise UserError(f"user {user!r} is not in memory; pass the row of the user")
        user_id = user if isinstance(user, str) else ""
        return finished(self.explain_in_steps(user_id, state, item_id))

    def explain_in_steps(
        self, user_id: str, state: UserState, item_id: str | None = None
    ) -> Steps[Explanation]:
        """As `explain`, of the row of a user, in steps between which lists may be made.

        Without a `user_id` the user is in no experiment.
        """
        state = before_last_list(state)  # which is the one to be explained
        now_ms = self._begin()
        treatment = self.treatments.of(Asking(user_id, state), now_ms)
        return (yield from self._explainer(treatment, self._k).steps(state, item_id))

    def _explained(self, answer: Answer) -> tuple[RankedItem, ...]:
        """The items of an answer, each with why it is there."""
        made = answer.made
        request = answer.asking.request
        query = request.query if request is not None else None
        explainer = self._explainer(made.treatment, made.length, query)
        return explained(made.items, explainer.of_list(answer.asking.state, made.items))

    def _explainer(self, treatment: Treatment, k: int, query: str | None = None) -> Explainer:
        pipeline, _ = self._pipelines.get(treatment.plan, k)
        return Explainer(
            self.bundle,
            self._advancer,
            self._seen,
            pipeline,
            treatment.terms,
            treatment.rules,
            self._profiles,
            query,
        )

    def process(
        self,
        messages: Sequence[SourceMessage],
        states: Mapping[str, UserState | None],
        profiles: Sequence[ProfileMessage] = (),
    ) -> Processed:
        """Apply events of any users, in the order they were read, and recommend to each user.

        `profiles` are taken up as well: what becomes of a row does not depend on their place among
        the events. `states` holds the row of every user of the batch; None for one never seen
        before.
        """
        began = time.thread_time()
        updates, outcomes = self._applier.apply(messages, states)
        said = self._applier.introduce(profiles, states, updates)
        applied = time.thread_time()
        self._advancer.advance(updates.values())
        self._profiles.read(updates.values())
        stages = {"apply": applied - began, "encode": time.thread_time() - applied}
        newest: dict[str, SourceMessage | ProfileMessage] = {one.user_id: one for one in profiles}
        newest |= {source.message.user_id: source for source in messages}
        repeated = NOBODY
        if self._remembers_lists:
            users = [source.message.user_id for source in messages]
            users += [one.user_id for one in profiles]
            repeated = repeating(users, [*outcomes, *said])
        made, decisions = (
            self._recommend(updates, newest, repeated, stages) if updates else ([], [])
        )
        if self._remembers_lists:
            remember(updates, made, repeated)
        rows = {user: update.state for user, update in updates.items()}
        return Processed(rows, made, outcomes, said, stages, decisions)

    def _recommend(
        self,
        updates: Mapping[str, UserUpdate],
        newest: Mapping[str, SourceMessage | ProfileMessage],
        repeated: frozenset[str],
        stages: dict[str, float],
    ) -> tuple[list[Recommendation], list[Decision]]:
        now_ms = self._begin()
        ids = [rec_id(user_id, newest[user_id]) for user_id in updates]
        asking = [
            Asking(
                user,
                before_last_list(update.state) if user in repeated else update.state,
                None,
                list_id,
            )
            for (user, update), list_id in zip(updates.items(), ids, strict=True)
        ]
        lists = self._lists.make(asking, now_ms, stages, kept=self._kept(ids))
        began = time.thread_time()
        model = self._serving_model()
        made = [
            Recommendation(
                rec_id=list_id,
                user_id=user_id,
                items=one.items,
                model=model,
                generated_at_ms=now_ms,
                trigger=trigger(newest[user_id]),
                applied=update.state.offsets,
                experiment=one.treatment.experiment,
                degraded=_NOT_FINITE if update.broken else one.treatment.degraded,
                rules=one.rules,
            )
            for (user_id, update), list_id, one in zip(updates.items(), ids, lists, strict=True)
        ]
        decisions = self._decisions(made, asking, lists)
        stages["build"] += time.thread_time() - began
        return made, decisions

    def _kept(self, ids: Sequence[str]) -> Collection[int]:
        """The places of lists whose decisions are kept."""
        share = self._kept_share
        return {place for place, one in enumerate(ids) if is_kept(one, share)} if share else ()

    def _decisions(
        self, made: Sequence[Recommendation], asking: Sequence[Asking], lists: Sequence[Made]
    ) -> list[Decision]:
        return [
            decision_of(one, of, how.basis, self.bundle)
            for one, of, how in zip(made, asking, lists, strict=True)
            if how.basis is not None
        ]

    def _check(self, plan: Plan) -> None:
        """Raise UserError for a plan that this release cannot do, or this worker."""
        try:
            check_remembered(plan.filters, self._filters)
        except ValueError as error:
            raise UserError(str(error)) from None
        self._pipelines.get(plan, self._k)

    def _begin(self) -> int:
        """The time, at which the catalogue and what is kept beside it are brought up to date."""
        now_ms = self._clock()
        self.catalogue.at(now_ms)
        self.live.grow(len(self.bundle.catalog))
        self.live.arrivals.at(now_ms)
        return now_ms

    def _serving_model(self) -> ServingModel:
        if self._model.backend != self.bundle.encoder.backend:  # the first one broke
            self._model = msgspec.structs.replace(self._model, backend=self.bundle.encoder.backend)
        return self._model


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000
