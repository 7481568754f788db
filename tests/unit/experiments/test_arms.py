"""What an arm means for the lists of its users, and that nobody else's change."""

from __future__ import annotations

import numpy as np
import pytest
from small_release import small_release

from schemas import (
    Arm,
    Click,
    Experiment,
    ExperimentSpec,
    Recommendation,
    RecommendationRequest,
    Rule,
    Scenario,
)
from stream_app.experiments import Split
from stream_app.plan import Plan
from stream_app.ranking import LiveStores, build_pipeline
from stream_app.recommender import Recommender
from stream_app.scenarios import by_popularity

USERS = [f"user-{number}" for number in range(40)]
CALM = Scenario(name="calm", sources={"trending": 0}, weights={"popularity": 0})
SPEC = ExperimentSpec(
    name="page", arms=(Arm("as_it_is", 0.4), Arm("calm", 0.3, "calm"), Arm("out", 0.2, "popular"))
)


def serve(
    *experiments: ExperimentSpec, scenarios: tuple[Scenario, ...] = (CALM,), request: str = ""
) -> dict[str, Recommendation]:
    """The lists of all users, each after an event, or for a request for a scenario."""
    recommender = Recommender(small_release(), clock=lambda: 123)
    for scenario in scenarios:
        recommender.treatments.scenarios.put(scenario.name, scenario)
    made = recommender.recommend(
        [Click(user_id=u, item_id=f"item-{n}", timestamp_ms=n) for n, u in enumerate(USERS)]
    )
    for spec in experiments:
        recommender.treatments.experiments.put(spec.name, spec)
    if request:
        made = recommender.answer(
            *(RecommendationRequest(user_id=u, request_id=u, scenario=request) for u in USERS)
        )
    else:
        made = recommender.answer(*(RecommendationRequest(user_id=u, request_id=u) for u in USERS))
    return {one.user_id: one for one in made}


def items(made: Recommendation) -> list[tuple[str, float]]:
    return [(item.item_id, item.score) for item in made.items]


def owners(spec: ExperimentSpec = SPEC) -> dict[str, str | None]:
    found = Split([spec]).assign(USERS)
    return {user: one.own if one else None for user, one in zip(USERS, found, strict=True)}


def test_each_arm_is_served_with_its_scenario_and_says_so() -> None:
    usual, calm, popular = serve(), serve(request="calm"), serve(request="popular")
    made = serve(SPEC)
    assert set(owners().values()) == {"as_it_is", "calm", "out", None}
    for user, arm in owners().items():
        expected = {"calm": calm, "out": popular}.get(arm or "", usual)
        assert items(made[user]) == items(expected[user]), arm
        assert made[user].experiment == (Experiment("page", arm) if arm else None)
        assert made[user].degraded is None


def test_lists_after_events_are_of_their_arms_as_well() -> None:
    recommender = Recommender(small_release(), clock=lambda: 123)
    recommender.treatments.scenarios.put("calm", CALM)
    recommender.treatments.experiments.put("page", SPEC)
    made = recommender.recommend(
        [Click(user_id=user, item_id="item-1", timestamp_ms=1) for user in USERS]
    )
    arms = {one.user_id: one.experiment.arm if one.experiment else None for one in made}
    assert arms == owners()


def test_what_runs_is_known_without_a_list() -> None:
    """An idle worker shows it in its metrics."""
    now = [5]
    recommender = Recommender(small_release(), clock=lambda: now[0])
    ends = ExperimentSpec(name="page", arms=SPEC.arms, until_ms=10)
    recommender.treatments.experiments.put("page", ends)
    seen = []
    for now[0] in (5, 10):
        recommender.look()
        seen.append(recommender.treatments.experiments.running)
    assert seen == [1, 0]


def test_users_of_an_arm_that_is_off_get_the_control() -> None:
    off = ExperimentSpec(name="page", arms=SPEC.arms, off=("calm",))
    usual, made = serve(), serve(off)
    for user, arm in owners().items():
        if arm == "calm":
            assert items(made[user]) == items(usual[user])
            assert made[user].experiment == Experiment("page", "as_it_is")


def test_lists_of_another_scenario_are_not_part_of_it() -> None:
    made = serve(SPEC, request="calm")
    assert {one.experiment for one in made.values()} == {None}
    on_calm = ExperimentSpec(name="page", arms=SPEC.arms, lists="calm")
    plain, calm, popular = serve(on_calm), serve(request="calm"), serve(request="popular")
    assert {one.experiment for one in plain.values()} == {None}
    made = serve(on_calm, request="calm")
    for user, arm in owners().items():
        expected = popular if arm == "out" else calm
        assert items(made[user]) == items(expected[user])
        assert made[user].experiment == (Experiment("page", arm) if arm else None)


def test_an_arm_whose_scenario_is_gone_is_not_counted_and_says_why() -> None:
    usual, made = serve(), serve(SPEC, scenarios=())
    for user, arm in owners().items():
        if arm == "calm":
            assert made[user].experiment is None
            assert made[user].degraded == (
                "scenario 'calm' of arm 'calm' of experiment 'page' is unknown; made as for those "
                "in no experiment"
            )
            assert items(made[user]) == items(usual[user])


def test_popular_is_the_same_for_everybody() -> None:
    """Whatever sources and scores there are, this scenario leaves what is popular."""
    bundle = small_release()
    pipeline = build_pipeline(
        bundle, LiveStores.of(bundle), k=10, plan=by_popularity(Plan(sources=(("similar", 48),)))
    )
    assert [source.name for source in pipeline.sources] == ["trending", "pinned", "popular"]
    assert {one.scorer.name for one in pipeline._scorers if one.weight} == {"popularity"}
    orders = [dict(items(made)) for made in serve(request="popular").values()]
    merged = {item: score for order in orders for item, score in order.items()}
    assert all(order[item] == pytest.approx(merged[item]) for order in orders for item in order)
    scores = [[item.score for item in made.items] for made in serve(request="popular").values()]
    assert all((np.diff(one) <= 0).all() for one in scores)


def test_who_has_no_id_is_in_no_experiment() -> None:
    everybody = ExperimentSpec(name="page", arms=(Arm("a", 0.5, "calm"), Arm("b", 0.5, "calm")))
    recommender = Recommender(small_release(), clock=lambda: 123)
    recommender.treatments.scenarios.put("calm", CALM)
    recommender.recommend([Click(user_id="ann", item_id="item-1", timestamp_ms=1)])
    row = recommender._memory["ann"]
    before = recommender.explain(row)
    recommender.treatments.experiments.put("page", everybody)
    assert recommender.explain(row) == before
    assert recommender.explain("ann") != before


def test_a_rule_can_hold_for_one_arm() -> None:
    recommender = Recommender(small_release(), clock=lambda: 123)
    recommender.recommend(
        [Click(user_id=u, item_id=f"item-{n}", timestamp_ms=n) for n, u in enumerate(USERS)]
    )
    two = ExperimentSpec(name="page", arms=(Arm("as_it_is", 0.5), Arm("ruled", 0.5)))
    recommender.treatments.experiments.put("page", two)
    rules = recommender.treatments.rules
    when = "experiment == 'page' && arm == 'ruled'"
    rules.put("pin", Rule(rule_id="pin", items="item.item_id == 'item-39'", when=when, pin=1))
    while rules.work():
        pass
    made = recommender.answer(
        *(RecommendationRequest(user_id=u, request_id=u, filters=()) for u in USERS)
    )
    assert {one.experiment.arm for one in made} == {"as_it_is", "ruled"}
    for one in made:
        ruled = one.experiment.arm == "ruled"
        assert [trace.rule_id for trace in one.rules] == (["pin"] if ruled else [])
        assert (one.items[0].item_id == "item-39") or not ruled
    assert {one.items[0].item_id for one in made if one.experiment.arm == "as_it_is"} != {"item-39"}
