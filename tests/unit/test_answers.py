"""Lists that are asked for: as long as wanted, without what is excluded, and nothing is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas import Click, Recommendation, RecommendationRequest
from stream_app.objectives import Objectives
from stream_app.plan import Plan
from stream_app.recommender import Recommender

BUNDLE = Path(__file__).parents[2] / "examples" / "movielens" / "bundle"
NOW = 1_700_000_000_000


@pytest.fixture
def recommender() -> Recommender:
    made = Recommender.load(BUNDLE, clock=lambda: NOW)
    items = ("318", "296", "593")
    made.recommend([Click(user_id="ann", item_id=item, timestamp_ms=NOW) for item in items])
    return made


def asked(user: str = "ann", **fields: object) -> RecommendationRequest:
    return RecommendationRequest(user_id=user, request_id="r1", **fields)


def ids(made: Recommendation) -> list[str]:
    return [item.item_id for item in made.items]


@pytest.mark.parametrize("k", [1, 10, 11, 50, 51, 200])
def test_a_list_is_as_long_as_wanted_and_begins_with_the_same_items(
    recommender: Recommender, k: int
) -> None:
    (made,) = recommender.answer(asked(k=k))
    assert len(set(ids(made))) == k
    assert [item.rank for item in made.items] == [*range(1, k + 1)]
    assert {"318", "296", "593"}.isdisjoint(ids(made))
    assert ids(made)[:3] == ids(recommender.answer(asked())[0])[: min(k, 3)]


def test_it_is_the_list_that_an_event_would_have_given(recommender: Recommender) -> None:
    (after,) = recommender.recommend([Click(user_id="ann", item_id="50", timestamp_ms=NOW + 1)])
    (made,) = recommender.answer(asked())
    assert ids(made) == ids(after)
    assert made.applied == after.applied
    assert (made.request_id, made.trigger) == ("r1", None)
    assert made.rec_id != after.rec_id


def test_pages_do_not_repeat(recommender: Recommender) -> None:
    pages: list[str] = []
    for _ in range(4):
        pages += ids(recommender.answer(asked(exclude=tuple(pages)))[0])
    assert len(set(pages)) == 40
    assert pages == ids(recommender.answer(asked(k=40))[0])


def test_excluded_items_do_not_leave_a_list_short(recommender: Recommender) -> None:
    everything = recommender.bundle.catalog.ids
    kept = {"318", "1", "2", "3", "4", "5"}
    for start in range(0, len(everything), 1000):
        few = tuple(item for item in everything[start : start + 1000] if item not in kept)
        made = recommender.answer(asked(k=200, exclude=few))[0]
        assert len(made.items) == 200
        assert set(few).isdisjoint(ids(made))


def test_seed_items_steer_a_list_and_are_forgotten(recommender: Recommender) -> None:
    before = ids(recommender.answer(asked())[0])
    seeded = recommender.answer(asked(seed_items=("1", "3114")))[0]
    assert ids(seeded) != before
    assert {"1", "3114"}.isdisjoint(ids(seeded))
    assert "after 3114" in {reason for item in seeded.items for reason in item.reasons}
    assert ids(recommender.answer(asked())[0]) == before
    assert set(seeded.applied) == {"memory/0"}


def test_a_stranger_gets_what_is_popular_and_with_seeds_what_fits(recommender: Recommender) -> None:
    plain, seeded = recommender.answer(asked("new"), asked("new", seed_items=("1", "3114")))
    assert len(plain.items) == len(seeded.items) == 10
    assert plain.applied == seeded.applied == {}
    assert {source for item in plain.items for source in item.sources} <= {"trending", "popular"}
    assert any("personal" in item.sources for item in seeded.items)


def test_requests_together_get_what_they_get_alone(recommender: Recommender) -> None:
    requests = [
        asked(), asked("new", k=30), asked(k=60, exclude=("50",)), asked(seed_items=("1",)),
    ]  # fmt: skip
    together = recommender.answer(*requests)
    assert [ids(made) for made in together] == [ids(recommender.answer(one)[0]) for one in requests]


def test_an_item_nobody_knows_changes_nothing(recommender: Recommender) -> None:
    plain = ids(recommender.answer(asked())[0])
    assert ids(recommender.answer(asked(exclude=("no such item",)))[0]) == plain


@pytest.mark.parametrize("k", [10, 30])
def test_objectives_hold_for_lists_that_are_asked_for(k: int) -> None:
    plain, diverse = (
        Recommender.load(BUNDLE, clock=lambda: NOW, plan=Plan(objectives=objectives))
        for objectives in (Objectives(), Objectives(diversity=8))
    )
    click = Click(user_id="ann", item_id="50", timestamp_ms=NOW)
    (usual,), (after,) = (one.recommend([click]) for one in (plain, diverse))
    made = ids(diverse.answer(asked(k=k))[0])
    assert len(set(made)) == k
    assert set(made) != set(ids(plain.answer(asked(k=k))[0]))
    assert made[0] == ids(usual)[0]
    if k == 10:
        assert made == ids(after)


def test_an_answer_says_why_each_item_is_in_it_when_asked(recommender: Recommender) -> None:
    (plain,) = recommender.answer(asked())
    (made,) = recommender.answer(asked(explain=True))
    assert all(item.explanation is None for item in plain.items)
    assert ids(made) == ids(plain)
    for item in made.items:
        assert item.explanation is not None
        whole = sum(part.score for part in item.explanation.parts)
        assert whole == pytest.approx(item.score, abs=1e-3)
    causes = {cause.item_id for item in made.items for cause in item.explanation.causes}
    assert causes <= {"318", "296", "593"}
    assert causes
    explained = recommender.explain("ann")
    assert [item.causes[0].item_id for item in explained.items] == [
        item.explanation.causes[0].item_id for item in made.items
    ]


@pytest.mark.parametrize("fields", [{"k": 30}, {"seed_items": ("1",)}, {"scenario": "none"}])
def test_whatever_is_asked_for_can_be_explained(recommender: Recommender, fields: dict) -> None:
    plain, made = recommender.answer(asked(**fields), asked(explain=True, **fields))
    assert ids(made) == ids(plain)
    assert all(item.explanation is not None for item in made.items)
    (stranger,) = recommender.answer(
        RecommendationRequest(user_id="new", request_id="r", explain=True)
    )
    assert {item.explanation.causes for item in stranger.items} == {()}
