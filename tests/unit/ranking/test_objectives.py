"""What operators choose: the defaults change nothing, and each objective does what it says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from ranked_users import batches, forbidden_to, one_user
from small_release import DIM, small_release

from stream_app.bundle import ActionHead, Bundle
from stream_app.errors import UserError
from stream_app.objectives import Objectives, ObjectivesError
from stream_app.plan import Plan
from stream_app.ranking import LiveStores, Pipeline, UserBatch, build_pipeline
from stream_app.ranking.pipeline import Weighted
from stream_app.ranking.rerankers import Best
from stream_app.ranking.scorers import Affinity, Popularity, Transition
from stream_app.ranking.wiring import RESERVE, TRANSITION_FLOOR, vote_weights
from stream_app.users.actions import ACTIONS, PURCHASE

EVERYTHING = Objectives(diversity=2, popularity_discount=0.3, action_values="purchase=5 view=0.5")


def with_head(bundle: Bundle, seed: int = 0) -> Bundle:
    random = np.random.default_rng(seed)
    weight = random.standard_normal((3 * DIM, len(ACTIONS))).astype(np.float32)
    bias = random.standard_normal(len(ACTIONS)).astype(np.float32)
    return dataclasses.replace(bundle, action_head=ActionHead(weight, bias))


def pipeline_of(bundle: Bundle, objectives: Objectives, k: int = 10) -> Pipeline:
    return build_pipeline(bundle, LiveStores.of(bundle), k=k, plan=Plan(objectives=objectives))


@given(batches())
def test_with_the_defaults_lists_are_those_of_the_three_fitted_scores_in_order(
    batch: tuple[int, UserBatch],
) -> None:
    items, users = batch
    bundle = with_head(small_release(items))
    live, weights = LiveStores.of(bundle), bundle.manifest.ranking
    default = pipeline_of(bundle, Objectives())
    votes = vote_weights(weights.votes)
    plain = Pipeline(
        bundle.catalog,
        sources=default.sources[:-1],
        last_resort=default.sources[-1],
        filters=build_pipeline(bundle, live, k=10)._filters,
        scorers=[
            Weighted(weights.personal, Affinity(bundle.catalog, weights.temperature)),
            Weighted(weights.transition, Transition(live.transitions, votes, TRANSITION_FLOOR)),
            Weighted(weights.trending, Popularity(live.trends)),
        ],
        rerankers=[Best(10 + RESERVE)],
        k=10,
    )
    for got, expected in zip(default.rank(users, {}), plain.rank(users, {}), strict=True):
        np.testing.assert_array_equal(got, expected)


@given(batches())
def test_with_every_objective_a_list_is_full_and_holds_nothing_forbidden_and_nothing_twice(
    batch: tuple[int, UserBatch],
) -> None:
    items, users = batch
    ranked = pipeline_of(with_head(small_release(items)), EVERYTHING).rank(users, {})
    for row in range(len(users)):
        shown = [item for item in ranked.items[row].tolist() if item >= 0]
        forbidden = forbidden_to(users, row, ("bought", "clicked"))
        assert not forbidden.intersection(shown)
        assert len(shown) == len(set(shown)) == min(10, items - len(forbidden))
        assert (ranked.sources[row][: len(shown)] > 0).all()
        assert np.isfinite(ranked.scores[row][: len(shown)]).all()


def test_a_discount_divides_by_the_share_of_the_activity_to_its_power() -> None:
    bundle = small_release(30)
    live = LiveStores.of(bundle)
    user = one_user(bundle.catalog.vectors[0], [4])
    plain = pipeline_of(bundle, Objectives(), k=29).rank(user, {})
    less = pipeline_of(bundle, Objectives(popularity_discount=0.5), k=29).rank(user, {})
    before = dict(zip(plain.items[0].tolist(), plain.scores[0].tolist(), strict=True))
    for item, score in zip(less.items[0].tolist(), less.scores[0].tolist(), strict=True):
        share = float(live.trends.log_share(np.array([item], np.int32))[0])
        assert score == pytest.approx(before[item] - 0.5 * share, rel=1e-4)


def test_of_a_user_of_whom_nothing_is_known_popular_items_stay_first() -> None:
    bundle = small_release(30)
    nobody = one_user(np.zeros(DIM, np.float32), [])
    plain = pipeline_of(bundle, Objectives()).rank(nobody, {})
    less = pipeline_of(bundle, Objectives(popularity_discount=1)).rank(nobody, {})
    np.testing.assert_array_equal(less.items, plain.items)
    np.testing.assert_array_equal(less.scores, plain.scores)


def test_an_item_is_scored_by_what_its_event_is_worth() -> None:
    bundle = with_head(small_release(30))
    user = one_user(bundle.catalog.vectors[0], [4])
    plain = pipeline_of(bundle, Objectives(), k=29).rank(user, {})
    worth = pipeline_of(bundle, Objectives(action_values="purchase=5"), k=29).rank(user, {})
    before = dict(zip(plain.items[0].tolist(), plain.scores[0].tolist(), strict=True))
    head, vectors = bundle.action_head, bundle.catalog.vectors
    assert head is not None
    for item, score in zip(worth.items[0].tolist(), worth.scores[0].tolist(), strict=True):
        joined = np.concatenate([user.vectors[0], vectors[item], user.vectors[0] * vectors[item]])
        grown = np.exp(joined @ head.weight + head.bias)
        bought = grown[PURCHASE] / grown.sum()
        assert score == pytest.approx(before[item] + np.log(1 + 4 * bought), abs=1e-4)
    assert sorted(before) == sorted(worth.items[0].tolist())


def test_values_of_one_change_nothing_and_need_no_head() -> None:
    assert Objectives(action_values="click=1, purchase=1.0").values_by_action() is None
    build_pipeline(
        small_release(), LiveStores.of(small_release()), k=3,
        plan=Plan(objectives=Objectives(action_values="purchase=1")),
    )  # fmt: skip


def test_values_of_actions_without_an_action_head_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"bundle small: action_values is 'purchase=2', .* --action-loss 0.1"
    ):
        pipeline_of(small_release(), Objectives(action_values="purchase=2"))


def test_objectives_are_read_from_text() -> None:
    text = "diversity=2, popularity_discount=.5 purchase=5 view=0.5"
    assert Objectives.parse(text) == Objectives(
        diversity=2, popularity_discount=0.5, action_values="purchase=5 view=0.5"
    )
    assert Objectives.parse("") == Objectives()
    values = Objectives.parse(text).values_by_action()
    assert values is not None
    assert dict(zip(ACTIONS, values, strict=True)) == {
        "other": 1, "view": 0.5, "click": 1, "like": 1, "add_to_cart": 1, "purchase": 5
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("diversity=-1", "diversity is -1.0; it must be from 0 to 100"),
        ("diversity=nan", "diversity is nan; it must be from 0 to 100"),
        ("diversity=much", "'diversity=much': write diversity= and a number"),
        ("popularity_discount=2", "popularity_discount is 2.0; it must be from 0 to 1"),
        ("sale=2", r"action_values: 'sale=2' is not action=number with .* other, view, click"),
        ("purchase=0", "action_values: 'purchase=0' is not action=number .* above 0"),
        ("purchase=1e39", "'purchase=1e39' is not"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_do(text: str, message: str) -> None:
    with pytest.raises(ObjectivesError, match=message):
        Objectives.parse(text)
