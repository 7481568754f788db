"""Several releases at once: each user is served by that of their arm, and all learn from all."""

from __future__ import annotations

import numpy as np
import pytest
from small_release import small_release

from schemas import Arm, Click, ExperimentSpec, Purchase, RecommendationRequest
from stream_app.answers import Asked
from stream_app.errors import UserError
from stream_app.experiments import Split
from stream_app.recommender import Recommender, SourceMessage
from stream_app.releases import Releases
from stream_app.users.state import Outcome, UserState

USERS = [f"user-{number}" for number in range(30)]
OLD, GONE = Arm("old", 0.4), Arm("gone", 0.2, None, "x@9")


def served(*experiments: ExperimentSpec) -> Releases:
    made = [
        Recommender(small_release(seed=seed, version=version), clock=lambda: 123)
        for seed, version in ((0, "1"), (1, "2"))
    ]
    releases = Releases(made[0], made[1:])
    for one in releases.all:
        for spec in experiments:
            one.treatments.experiments.put(spec.name, spec)
    return releases


def name_of(releases: Releases, number: int) -> str:
    return releases.all[number].bundle.release


def messages(seed: int, count: int = 120) -> list[SourceMessage]:
    random = np.random.default_rng(seed)
    made = []
    for offset in range(count):
        kind = Purchase if random.random() < 0.2 else Click
        user, item = USERS[random.integers(30)], f"item-{random.integers(40)}"
        event = kind(user_id=user, item_id=item, timestamp_ms=1000 * offset)
        made.append(SourceMessage(event, "clicks", 0, offset))
    return made


def states_of(batch: list[SourceMessage], rows: dict[str, UserState]) -> dict:
    users = dict.fromkeys(source.message.user_id for source in batch)
    return {user: rows.get(user) for user in users}


def arms(spec: ExperimentSpec) -> dict[str, str]:
    found = Split([spec]).assign(USERS)
    return {user: one.own for user, one in zip(USERS, found, strict=True) if one}


def spec_for(releases: Releases, **fields) -> ExperimentSpec:
    new = Arm("new", 0.4, None, name_of(releases, 1))
    return ExperimentSpec(name="model", arms=(OLD, new, GONE), **fields)


def test_each_user_is_served_by_the_release_of_their_arm() -> None:
    releases = served()
    spec = spec_for(releases)
    for one in releases.all:
        one.treatments.experiments.put("model", spec)
    batch = messages(1)
    states = states_of(batch, {})
    processed = releases.process(batch, states)
    assert processed.outcomes == [Outcome.APPLIED] * len(batch)
    assert processed.states.keys() == states.keys()
    assert [made.user_id for made in processed.recommendations] == list(processed.states)
    for made in processed.recommendations:
        arm = arms(spec)[made.user_id]
        serving = name_of(releases, 1 if arm == "new" else 0)
        assert f"{made.model.name}@{made.model.version}" == serving
        assert processed.states[made.user_id].release == serving
        if arm == "gone":
            assert made.experiment is None
            assert "release 'x@9' of arm 'gone'" in made.degraded
        else:
            assert made.experiment is not None
            assert made.experiment.arm == arm


def test_without_an_arm_that_names_a_release_all_is_as_with_the_main_one_alone() -> None:
    releases, alone = served(), Recommender(small_release(), clock=lambda: 123)
    batch = messages(2)
    states = states_of(batch, {})
    mine, theirs = releases.process(batch, states), alone.process(batch, states)
    assert mine.recommendations == theirs.recommendations
    assert mine.states == theirs.states


def test_lists_of_a_challenger_are_those_that_it_would_make_alone_of_all_events() -> None:
    """Whoever serves a user: the counts of every release are those of all events."""
    releases = served()
    everybody = ExperimentSpec(
        name="model", arms=(Arm("old", 1e-9), Arm("new", 1.0 - 1e-9, None, name_of(releases, 1)))
    )
    alone = Recommender(small_release(seed=1, version="2"), clock=lambda: 123)
    rows: dict[str, UserState] = {}
    batch = messages(3)
    rows |= releases.process(batch[:60], states_of(batch[:60], rows)).states
    for one in releases.all:
        one.treatments.experiments.put("model", everybody)
    before: dict[str, UserState] = {}
    before |= alone.process(batch[:60], states_of(batch[:60], before)).states
    mine = releases.process(batch[60:], states_of(batch[60:], rows))
    theirs = alone.process(batch[60:], states_of(batch[60:], before))
    for one, other in zip(mine.recommendations, theirs.recommendations, strict=True):
        assert [item.item_id for item in one.items] == [item.item_id for item in other.items]
        assert one.user_id == other.user_id
    for user, state in mine.states.items():
        assert state.history == theirs.states[user].history
        assert state.release == theirs.states[user].release


def test_requests_go_to_the_release_of_the_user_unless_for_other_lists() -> None:
    releases = served()
    spec = spec_for(releases)
    for one in releases.all:
        one.treatments.experiments.put("model", spec)
    batch = messages(4)
    rows = releases.process(batch, states_of(batch, {})).states
    asked = [
        Asked(
            RecommendationRequest(user_id=user, request_id=str(at), scenario=scenario),
            "recommendation-requests",
            0,
            2 * at + (scenario is not None),
        )
        for at, user in enumerate(USERS)
        for scenario in (None, "popular")
    ]
    made, decisions = releases.answer_all(asked, rows, {})
    assert [one.request_id for one in made] == [one.request.request_id for one in asked]
    assert decisions == []
    for one, answer in zip(asked, made, strict=True):
        new = arms(spec)[answer.user_id] == "new" and one.request.scenario is None
        assert answer.model.version == ("2" if new else "1")


def test_an_arm_that_is_off_is_served_by_the_release_of_the_control() -> None:
    releases = served()
    spec = spec_for(releases, off=("new",))
    for one in releases.all:
        one.treatments.experiments.put("model", spec)
    batch = messages(5)
    made = releases.process(batch, states_of(batch, {})).recommendations
    assert {one.model.version for one in made} == {"1"}


def test_two_of_the_same_release_are_refused() -> None:
    made = [Recommender(small_release()) for _ in range(2)]
    with pytest.raises(UserError, match="must differ"):
        Releases(made[0], made[1:])


def test_it_is_known_who_serves_a_user() -> None:
    plain = served()
    assert plain.serving(USERS[0]) is plain.main
    releases = served(spec_for(plain))
    own = arms(spec_for(plain))
    for user in USERS:
        expected = releases.all[1] if own.get(user) == "new" else releases.main
        assert releases.serving(user) is expected
    assert "new" in own.values()
