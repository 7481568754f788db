"""Several releases at once, of which each user is served by one: that of their arm.

The main release serves whoever is in no arm that names another, the challengers the rest. All of
them learn from all events, and a row that comes to another release is replayed from its ring there,
as after an upgrade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas import EVENTS, Decision, Recommendation
from stream_app.answers import Asked
from stream_app.errors import UserError
from stream_app.live_catalogue import CatalogueStatus
from stream_app.ranking import Shown
from stream_app.recommender import Processed, ProfileMessage, Recommender, SourceMessage
from stream_app.users.state import Outcome, UserState

States = Mapping[str, UserState | None]


class Releases:
    """Recommenders that share users; called as one of them is, from the same thread."""

    def __init__(self, main: Recommender, challengers: Sequence[Recommender] = ()) -> None:
        """Raises UserError for two of the same release."""
        self.main = main
        self.challengers = tuple(challengers)
        self.all = (main, *challengers)
        self._by_name = {one.bundle.release: one for one in self.all}
        if len(self._by_name) < len(self.all):
            named = ", ".join(one.bundle.release for one in self.all)
            raise UserError(f"the releases that are served must differ, but they are {named}")
        for one in self.all:
            one.treatments.releases = frozenset(self._by_name)

    def look(self) -> tuple[CatalogueStatus, Shown | None]:
        """As `Recommender.look`, which the challengers do too, of the main release."""
        for one in self.challengers:
            one.look()
        return self.main.look()

    def process(
        self,
        messages: Sequence[SourceMessage],
        states: States,
        profiles: Sequence[ProfileMessage] = (),
    ) -> Processed:
        """As `Recommender.process`, each user by the release of their arm."""
        owners = self._owners([(user, EVENTS) for user in states]) if self.challengers else None
        if owners is None:
            for one in self.challengers:
                one.watch(messages, states)
            return self.main.process(messages, states, profiles)
        owner = dict(zip(states, owners, strict=True))
        whole = Processed({}, [], [Outcome.REPLAYED] * len(messages),
                          [Outcome.REPLAYED] * len(profiles), {}, [])  # fmt: skip
        for one in self.all:
            places = [at for at, of in enumerate(messages) if owner[of.message.user_id] is one]
            said = [at for at, of in enumerate(profiles) if owner[of.user_id] is one]
            mine = set(places)
            others = [of for at, of in enumerate(messages) if at not in mine]
            if others:
                one.watch(others, states)
            if places or said:
                part = one.process(
                    [messages[at] for at in places], states, [profiles[at] for at in said]
                )
                _add(whole, part, places, said)
        return whole

    def answer_all(
        self, asked: Sequence[Asked], states: States, stages: dict[str, float]
    ) -> tuple[list[Recommendation], list[Decision]]:
        """As `Recommender.answer_all`, each user by the release of their arm."""
        wanted = [(one.request.user_id, one.request.scenario or EVENTS) for one in asked]
        owners = self._owners(wanted) if self.challengers else None
        if owners is None:
            return self.main.answer_all(asked, states, stages)
        made: dict[int, Recommendation] = {}
        decisions: list[Decision] = []
        for one in self.all:
            places = [at for at, owner in enumerate(owners) if owner is one]
            if places:
                lists, kept = one.answer_all([asked[at] for at in places], states, stages)
                made.update(zip(places, lists, strict=True))
                decisions += kept
        return [made[place] for place in range(len(asked))], decisions

    def serving(self, user_id: str) -> Recommender:
        """Who makes the lists of a user after events."""
        owners = self._owners([(user_id, EVENTS)]) if self.challengers else None
        return owners[0] if owners else self.main

    def _owners(self, wanted: Sequence[tuple[str, str]]) -> list[Recommender] | None:
        """Who makes the list of each user and scenario; None when the main release makes all."""
        split = self.main.treatments.experiments.split(self.main.now())
        if split is None or not split.names_releases:
            return None
        assigned = split.assign([user for user, _ in wanted])
        return [
            self.main
            if arm is None or arm.release is None or arm.lists != lists
            else self._by_name.get(arm.release, self.main)
            for (_, lists), arm in zip(wanted, assigned, strict=True)
        ]


def _add(whole: Processed, part: Processed, places: Sequence[int], said: Sequence[int]) -> None:
    """Put what one release made to the rest."""
    whole.states.update(part.states)
    whole.recommendations.extend(part.recommendations)
    whole.decisions.extend(part.decisions)
    for at, outcome in zip(places, part.outcomes, strict=True):
        whole.outcomes[at] = outcome
    for at, outcome in zip(said, part.profile_outcomes, strict=True):
        whole.profile_outcomes[at] = outcome
    for stage, seconds in part.stages.items():
        whole.stages[stage] = whole.stages.get(stage, 0.0) + seconds
