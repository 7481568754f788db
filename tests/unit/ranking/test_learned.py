"""A learned ranker in place of the weighted sum, and the parts of its scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from ranked_users import batches, forbidden_to
from small_ranker import NumpyRanker, with_ranker
from small_release import small_release

from schemas import Click
from stream_app.bundle.ranker import FEATURES, USER_FEATURES, Features
from stream_app.encoders.base import Floats
from stream_app.errors import UserError
from stream_app.objectives import Objectives
from stream_app.plan import Plan
from stream_app.ranking import LiveStores, UserBatch, build_pipeline
from stream_app.ranking.explain import part_names, score_parts
from stream_app.ranking.scorers.learned import TOGETHER
from stream_app.recommender import Recommender

PARTS = [*FEATURES, TOGETHER]
THREE = ("affinity", "transition", "popularity")


class Crossed(NumpyRanker):
    """Features that do more together than alone, more so for users with many events."""

    def score(self, features: Features) -> Floats:
        known = np.nan_to_num(features.candidates).clip(-50, 50)
        scores: Floats = super().score(features)
        return scores + known[:, :, 0] * known[:, :, 3] * (1 + features.users[:, :1])


@given(batches())
def test_with_the_weights_of_the_sum_lists_are_those_of_the_sum(
    batch: tuple[int, UserBatch],
) -> None:
    items, users = batch
    bundle = small_release(items)
    weights = bundle.manifest.ranking
    ranker = NumpyRanker(THREE, [weights.personal, weights.transition, weights.trending])
    learned = dataclasses.replace(bundle, ranker=ranker)
    lists = [
        build_pipeline(one, LiveStores.of(one), k=10).rank(users, {}) for one in (bundle, learned)
    ]
    np.testing.assert_allclose(lists[0].scores, lists[1].scores, rtol=1e-4, atol=1e-4)


@given(batches())
def test_a_list_is_full_and_holds_nothing_forbidden(batch: tuple[int, UserBatch]) -> None:
    items, users = batch
    bundle = with_ranker(small_release(items), Crossed(user_features=USER_FEATURES))
    plan = Plan(objectives=Objectives(diversity=1, popularity_discount=0.1))
    ranked = build_pipeline(bundle, LiveStores.of(bundle), k=10, plan=plan).rank(users, {})
    for row in range(len(users)):
        shown = [item for item in ranked.items[row].tolist() if item >= 0]
        forbidden = forbidden_to(users, row, ("bought", "clicked"))
        assert not forbidden.intersection(shown)
        assert len(shown) == len(set(shown)) == min(10, items - len(forbidden))


@given(batches())
def test_parts_are_exact_for_a_sum_and_add_up_for_any_ranker(batch: tuple[int, UserBatch]) -> None:
    items, users = batch
    for ranker in (NumpyRanker(), Crossed(user_features=USER_FEATURES)):
        bundle = with_ranker(small_release(items), ranker)
        pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=10)
        scorers = pipeline.stages.scorers
        assert part_names(scorers) == PARTS
        wanted = np.arange(items, dtype=np.int32)
        parts = score_parts(scorers, users, wanted, items)
        assert parts.shape == (len(PARTS), len(users), items)
        ranked = pipeline.rank(users, {})
        for row, places in enumerate(ranked.items):
            held = places >= 0
            scores = parts[:, row, places[held]].sum(axis=0)
            np.testing.assert_allclose(scores, ranked.scores[row][held], rtol=1e-3, atol=1e-3)
        if type(ranker) is NumpyRanker:
            np.testing.assert_allclose(parts[PARTS.index(TOGETHER)], 0, atol=1e-3)
            told = np.nan_to_num(ranker.seen[0].candidates[0])
            expected = (told * ranker.weights)[:, : len(FEATURES)].T
            np.testing.assert_allclose(parts[: len(FEATURES), 0], expected, rtol=1e-2, atol=1e-3)


def test_a_whole_list_is_explained_by_features() -> None:
    bundle = with_ranker(small_release(60), Crossed(user_features=USER_FEATURES))
    recommender = Recommender(bundle, clock=lambda: 0)
    clicks = [
        Click(user_id="ann", item_id=f"item-{item}", timestamp_ms=at * 1000)
        for at, item in enumerate((3, 11, 5))
    ]
    (made,) = recommender.recommend(clicks)
    assert len(made.items) == 10
    explanation = recommender.explain("ann")
    assert [one.item_id for one in explanation.items] == [one.item_id for one in made.items]
    for sent, one in zip(made.items, explanation.items, strict=True):
        assert one.score == pytest.approx(sent.score, abs=2e-3)
        assert [part.scorer for part in one.parts] == PARTS
        assert sum(part.score for part in one.parts) == pytest.approx(one.score, abs=2e-3)
        for cause in one.causes:
            assert sum(cause.by.values()) == pytest.approx(cause.contribution, abs=2e-3)


def test_a_scenario_weighs_the_ranker_and_none_of_the_scores_that_it_replaces() -> None:
    bundle = with_ranker(small_release(30))
    live = LiveStores.of(bundle)
    build_pipeline(bundle, live, k=5, plan=Plan(weights=(("learned", 0.5),)))
    with pytest.raises(
        UserError, match="weight 'affinity' is unknown; use some of: learned, related"
    ):
        build_pipeline(bundle, live, k=5, plan=Plan(weights=(("affinity", 0.5),)))
