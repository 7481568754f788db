"""Scenarios: how lists are made, changed while they are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas import Click, Item, Recommendation, RecommendationRequest, Scenario
from stream_app import scenarios
from stream_app.plan import Plan, PlanError
from stream_app.recommender import Recommender

BUNDLE = Path(__file__).parents[2] / "examples" / "movielens" / "bundle"
NOW = 1_700_000_000_000
SEEN = ("318", "296", "593")


@pytest.fixture
def recommender() -> Recommender:
    made = Recommender.load(BUNDLE, clock=lambda: NOW)
    made.recommend([Click(user_id="ann", item_id=item, timestamp_ms=NOW) for item in SEEN])
    return made


def asked(**fields: object) -> RecommendationRequest:
    return RecommendationRequest(user_id="ann", request_id="r1", **fields)


def put(recommender: Recommender, name: str = "default", **fields: object) -> None:
    recommender.treatments.scenarios.put(name, Scenario(name=name, **fields))


def ids(made: Recommendation) -> list[str]:
    return [item.item_id for item in made.items]


def answered(recommender: Recommender, **fields: object) -> list[str]:
    (made,) = recommender.answer(asked(**fields))
    assert made.degraded is None
    return ids(made)


def names(made: Recommendation) -> set[str]:
    return {source for item in made.items for source in item.sources}


def after_a_click(recommender: Recommender) -> Recommendation:
    (made,) = recommender.recommend([Click(user_id="ann", item_id="50", timestamp_ms=NOW + 1)])
    return made


def test_the_default_scenario_changes_lists_after_events_and_its_withdrawal_changes_them_back(
    recommender: Recommender,
) -> None:
    usual = after_a_click(recommender)
    put(recommender, sources={"personal": 0, "transitions": 0})
    assert names(after_a_click(recommender)) == {"trending"}
    recommender.treatments.scenarios.put("default", None)
    assert names(after_a_click(recommender)) == names(usual)


def test_requests_name_their_scenario_and_others_keep_the_usual_one(
    recommender: Recommender,
) -> None:
    usual = answered(recommender)
    put(recommender, "popular", weights={"affinity": 0.0, "transition": 0.0})
    assert answered(recommender) == usual
    assert answered(recommender, scenario="popular") != usual


def test_users_of_one_batch_are_served_each_in_their_way(recommender: Recommender) -> None:
    put(recommender, "popular", weights={"affinity": 0.0, "transition": 0.0})
    wanted = [asked(), asked(scenario="popular", k=33), asked(filters=()), asked(k=33)]
    one_by_one = [recommender.answer(one)[0] for one in wanted]
    together = recommender.answer(*wanted)
    assert list(map(ids, together)) == list(map(ids, one_by_one))
    assert len({tuple(ids(made)[:10]) for made in together}) == 3


def test_an_unknown_scenario_is_said_and_the_list_is_as_usual(
    recommender: Recommender, degraded_by
) -> None:
    (made,) = recommender.answer(asked(scenario="homepage"))
    assert made.degraded == "scenario 'homepage' is unknown; made as 'default'"
    assert degraded_by() == {"not_as_asked": 1}
    assert ids(made) == answered(recommender)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"filters": ("sold",)}, "filter 'sold' is unknown"),
        ({"weights": {"fame": 2.0}}, "weight 'fame' is unknown; use some of: affinity"),
        ({"sources": {"magic": 9}}, "source 'magic' is unknown; use some of: personal"),
        ({"action_values": "purchase=much"}, "action_values"),
        ({"action_values": "purchase=5"}, "no action head"),
    ],
)
def test_a_scenario_that_cannot_be_done_is_refused_and_the_old_one_stays(
    recommender: Recommender, fields: dict, why: str, caplog: pytest.LogCaptureFixture, degraded_by
) -> None:
    put(recommender, sources={"personal": 0, "transitions": 0})
    put(recommender, **fields)
    assert why in recommender.treatments.scenarios.refused["default"]
    assert why in caplog.text
    assert degraded_by() == {"control_refused": 1}
    assert names(after_a_click(recommender)) == {"trending"}
    put(recommender)
    assert not recommender.treatments.scenarios.refused
    assert names(after_a_click(recommender)) != {"trending"}


def test_a_request_has_filters_of_its_own(recommender: Recommender) -> None:
    # What was clicked is out by default, and may be back when nothing keeps it out.
    assert not set(SEEN) & set(answered(recommender, k=200))
    assert set(SEEN) & set(answered(recommender, k=200, filters=()))
    (made,) = recommender.answer(asked(filters=("sold",)))
    assert "filter 'sold' is unknown" in (made.degraded or "")
    assert ids(made) == answered(recommender)


def test_categories_hold_and_lists_are_full_while_they_can_be(recommender: Recommender) -> None:
    catalog = recommender.bundle.catalog
    comedies = [item for item in catalog.ids[:3000] if item not in SEEN][::17]
    listings = [(item, Item(item_id=item, categories=("Comedy",))) for item in comedies]
    recommender.catalogue.apply(listings)
    found = answered(recommender, k=100, categories=("Comedy",))
    assert len(found) == 100
    assert set(found) <= set(comedies)
    rest = answered(recommender, k=200, categories=("Comedy",), exclude=tuple(found))
    assert set(rest) | set(found) == set(comedies)
    assert answered(recommender, categories=("Opera",)) == []
    put(recommender, "funny", categories=("Comedy",))
    assert set(answered(recommender, scenario="funny")) <= set(comedies)
    assert answered(recommender, scenario="funny", categories=("Opera",)) == []


def test_explain_says_what_the_scenario_makes(recommender: Recommender) -> None:
    catalog = recommender.bundle.catalog
    some = [item for item in catalog.ids[:500] if item not in SEEN]
    recommender.catalogue.apply(
        [(item, Item(item_id=item, categories=("Comedy",))) for item in some]
    )
    put(recommender, categories=("Comedy",))
    listed = ids(after_a_click(recommender))
    explained = recommender.explain("ann")
    assert [item.item_id for item in explained.items] == listed
    (other,) = recommender.explain("ann", catalog.ids[600]).items
    assert "not allowed" in other.filters


def test_scenarios_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "MOST", 2)
    held = scenarios.Scenarios(Plan(), lambda _: None)
    for name in ("a", "b", "c"):
        held.put(name, Scenario(name=name))
    assert len(held) == 2
    assert "withdraw one first" in held.refused["c"]
    held.put("a", Scenario(name="a", diversity=1.0))
    assert held.get("a").plan.objectives.diversity == 1.0
    assert held.get("c") is None


@pytest.mark.parametrize(
    "fields", [{"weights": (("affinity", -1.0),)}, {"sources": (("personal", 0.5),)}]
)
def test_a_plan_refuses_numbers_that_mean_nothing(fields: dict) -> None:
    with pytest.raises(PlanError):
        Plan(**fields)
