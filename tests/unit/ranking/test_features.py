"""Features of candidates and users, each against a plain computation of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from ranked_users import batches, one_user
from small_ranker import NumpyRanker, with_ranker
from small_release import DIM, small_release, unit_rows

from schemas import Item
from stream_app.bundle import Bundle
from stream_app.bundle.ranker import FEATURES, USER_FEATURES, Features, RankerSpec
from stream_app.catalog import Catalog, ItemTable
from stream_app.ranking import LiveStores, UserBatch, build_pipeline
from stream_app.ranking.batch import EXCLUDED, RECENT, SHOWN, Past
from stream_app.ranking.live.first_seen import NEVER, FirstSeen
from stream_app.ranking.text_parts import TextParts

DAY_MS = 86_400_000


def told(bundle: Bundle, users: UserBatch, live: LiveStores | None = None) -> Features:
    """What a ranker of all features is told of the pool of some users."""
    ranker = NumpyRanker(user_features=USER_FEATURES)
    bundle = with_ranker(bundle, ranker)
    build_pipeline(bundle, live or LiveStores.of(bundle), k=2).rank(users, {})
    return ranker.seen[0]


def column(features: Features, name: str) -> np.ndarray:
    return features.candidates[0, :, FEATURES.index(name)]


def of_user(features: Features, name: str) -> float:
    return float(features.users[0, USER_FEATURES.index(name)])


def test_cosines_are_those_with_the_last_items() -> None:
    bundle = small_release(30)
    vectors = bundle.catalog.vectors
    features = told(bundle, one_user(vectors[3], [5, 9]))
    held = features.items[0] >= 0
    found = vectors[features.items[0][held]]
    expected = {
        "affinity": found @ vectors[3] / bundle.manifest.ranking.temperature,
        "similarity": found @ vectors[5],
        "recent similarity": found @ (vectors[5] + vectors[9]) / 2,
    }
    for name, cosines in expected.items():
        np.testing.assert_allclose(column(features, name)[held], cosines, rtol=1e-4, atol=1e-5)


def test_text_similarity_is_known_where_both_sides_have_a_text() -> None:
    bundle = with_ranker(small_release(30))
    assert bundle.ranker_items is not None
    texts = bundle.ranker_items.texts.astype(np.float32)
    features = told(bundle, one_user(np.zeros(DIM, np.float32), [5, 7, 9]))  # 7 has none
    expected = texts[features.items[0]] @ (texts[5] + texts[9]) / 2
    expected[(features.items[0] < 0) | (features.items[0] % 7 == 0)] = np.nan
    np.testing.assert_allclose(column(features, "text similarity"), expected, rtol=1e-3, atol=1e-3)
    nothing = told(bundle, one_user(np.zeros(DIM, np.float32), [7]))
    assert np.isnan(column(nothing, "text similarity")).all()


def test_the_text_part_of_an_item_that_joined_is_its_vector() -> None:
    catalog = Catalog(["a", "b"], np.array([[1, 0], [0, 0]], np.float32))
    parts = TextParts(np.array([[0, 1], [0, 0]], np.float16), catalog)
    catalog.index_or_add("c")
    catalog.set_vectors(np.array([1, 2], np.int32), np.array([[0.6, 0.8], [0.8, 0.6]], np.float32))
    found = parts.vectors_of(np.array([[0, 1, 2, -1]], np.int32))
    np.testing.assert_allclose(found[0], [[0, 1], [0.6, 0.8], [0.8, 0.6], [0, 0]], rtol=1e-6)


def test_freshness_is_the_log_of_days_since_the_first_event_or_the_offer() -> None:
    bundle = with_ranker(small_release(30))
    assert bundle.ranker_items is not None
    table = ItemTable(bundle.catalog)
    table.say(1, Item(item_id="item-1", available_from_ms=900 * DAY_MS))
    table.say(2, Item(item_id="item-2"))
    live = LiveStores.of(bundle, table)
    at = np.array([3, 3], np.int32)
    live.learn(
        30, np.full((2, 1), -1, np.int32), at, np.array([1000, 999]) * DAY_MS, at > 0, at * 0
    )
    features = told(bundle, one_user(bundle.catalog.vectors[3], [5]), live)
    first = bundle.ranker_items.first_ms.copy()
    first[1] = 900 * DAY_MS
    for item, found in zip(features.items[0].tolist(), column(features, "freshness"), strict=True):
        if item < 0 or first[item] == NEVER:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(np.log1p(1000 - first[item] / DAY_MS), rel=1e-5)


def test_an_item_is_as_old_as_its_first_event_in_the_stream() -> None:
    seen = FirstSeen(np.array([NEVER]), 0)
    seen.grow(3)
    items = np.array([2, 2, -1], np.int32)
    seen.learn(items, np.array([5, 4, 1]) * DAY_MS)
    seen.learn(items[:1], np.array([3]) * DAY_MS)  # late: it was known before
    seen.learn(items[:0], np.zeros(0, np.int64))
    unsaid = np.full(4, np.iinfo(np.int64).min)
    ages = seen.log_age(np.array([0, 1, 2, -1], np.int32), unsaid)
    np.testing.assert_allclose(ages, [np.nan, np.nan, np.log1p(1), np.nan])


def test_price_is_how_far_it_is_from_what_the_user_usually_looks_at() -> None:
    bundle = small_release(30)
    table = ItemTable(bundle.catalog)
    prices = {3: 10.0, 4: 40.0, 5: 10.0, 6: 90.0, 7: 0.0}
    for index, price in prices.items():
        table.say(index, Item(item_id=f"item-{index}", price=price))
    live = LiveStores.of(with_ranker(bundle), table)
    features = told(bundle, one_user(bundle.catalog.vectors[3], [4, 5, 7, 8]), live)
    for item, found in zip(features.items[0].tolist(), column(features, "price"), strict=True):
        if prices.get(item):
            assert found == pytest.approx(abs(np.log(prices[item] / 20)), abs=1e-5)
        else:
            assert np.isnan(found)


def test_features_of_users_count_events_and_measure_the_gap_before_the_newest() -> None:
    bundle = small_release(30)
    users = one_user(bundle.catalog.vectors[3], [5, 9, 2])
    shown = np.array([[5, 2, 7_000], [9, 2, 1_000], [2, 2, 1_000], [4, SHOWN, 0], [1, EXCLUDED, 0]])
    items, actions, ages = shown.T  # in no order, the newest twice; two were not done
    past = Past(
        np.zeros(5, np.int64), items.astype(np.int32), actions.astype(np.uint8), ages.copy()
    )
    users = UserBatch(users.vectors, users.recent, past)
    features = told(bundle, users)
    assert of_user(features, "events") == pytest.approx(np.log(4))
    assert of_user(features, "gap") == pytest.approx(np.log(7))  # 6 s, and 1
    shares = LiveStores.of(bundle).trends.log_share(np.array([5, 9, 2], np.int32))
    assert of_user(features, "mainstream") == pytest.approx(shares.mean(), rel=1e-5)


def test_of_a_user_who_did_nothing_little_is_known() -> None:
    nobody = one_user(np.zeros(DIM, np.float32), [])
    features = told(small_release(30), nobody)
    assert of_user(features, "events") == 0
    assert np.isnan(of_user(features, "gap"))
    assert np.isnan(of_user(features, "mainstream"))
    assert np.isnan(column(features, "text similarity")).all()
    assert not np.isnan(column(features, "popularity")).any()


@given(batches())
def test_no_feature_depends_on_who_shares_the_batch(batch: tuple[int, UserBatch]) -> None:
    items, users = batch
    bundle = small_release(items)
    together = told(bundle, users)
    for row in range(len(users)):
        alone = told(bundle, users.rows(row, row + 1))
        np.testing.assert_array_equal(together.items[row], alone.items[0])
        for of_both in zip(together[:2], alone[:2], strict=True):
            np.testing.assert_allclose(of_both[0][row], of_both[1][0], rtol=1e-4, atol=1e-5)


def test_only_the_features_that_a_ranker_names_are_made() -> None:
    ranker = NumpyRanker(["popularity", "similarity"], [1, 1])
    bundle = with_ranker(small_release(30), ranker)
    users = one_user(unit_rows(np.ones((1, DIM), np.float32))[0], [1] * RECENT)
    build_pipeline(bundle, LiveStores.of(bundle), k=2).rank(users, {})
    assert ranker.seen[0].candidates.shape[2] == 2
    assert ranker.seen[0].users.shape == (1, 0)


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (("affinity", "weather"), "the feature 'weather', which this release of stream-app does"),
        (("affinity", "affinity"), "one is named twice"),
        ((), "takes no feature of candidates"),
    ],
)
def test_a_ranker_that_asks_for_what_is_not_made_is_refused(
    features: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        RankerSpec(kind="linear", features=features, user_features=())
