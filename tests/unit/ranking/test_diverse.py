"""A diverse list is complete, deterministic, and the plain one where nothing is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranked_users import NOBODY
from small_release import unit_rows

from stream_app.catalog import Catalog
from stream_app.evaluation.metrics import diversity
from stream_app.ranking.candidates import Ranking
from stream_app.ranking.rerankers import Best, Diverse

STRENGTHS = (0.0, 0.5, 1.0, 2.0, 4.0, 16.0)


def catalog_of(vectors: np.ndarray) -> Catalog:
    return Catalog([f"item-{number}" for number in range(len(vectors))], vectors)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[Catalog, Ranking]:
    """Ordered rankings of different items, some short, some with ties or without vectors."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, width = draw(st.integers(1, 4)), draw(st.integers(1, 25))
    items = width + draw(st.integers(0, 10))
    vectors = unit_rows(random.standard_normal((items, draw(st.integers(1, 6)))))
    vectors[random.random(items) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = 0
    chosen = np.argsort(random.random((rows, items)), axis=1)[:, :width].astype(np.int32)
    scores = np.round(random.standard_normal((rows, width)), draw(st.integers(0, 3)))
    scores[np.arange(width) >= random.integers(0, width + 1, (rows, 1))] = -np.inf
    return catalog_of(vectors), Best(width).rerank(
        Ranking(chosen, scores.astype(np.float32)), NOBODY
    )


@given(rankings(), st.integers(1, 30), st.sampled_from(STRENGTHS))
def test_a_list_has_the_length_it_can_have_and_holds_only_candidates_each_once(
    drawn: tuple[Catalog, Ranking], k: int, strength: float
) -> None:
    catalog, ranking = drawn
    got = Diverse(catalog, strength, k).rerank(ranking, NOBODY)
    for row in range(len(ranking.items)):
        candidates = {
            item: score
            for item, score in zip(ranking.items[row].tolist(), ranking.scores[row], strict=True)
            if item >= 0
        }
        shown = [item for item in got.items[row].tolist() if item >= 0]
        assert len(shown) == len(set(shown)) == min(k, len(candidates))
        assert got.items[row].tolist()[len(shown) :] == [-1] * (len(got.items[row]) - len(shown))
        assert [candidates[item] for item in shown] == got.scores[row][: len(shown)].tolist()
        assert (got.scores[row][len(shown) :] == -np.inf).all()


@given(rankings(), st.integers(1, 30))
def test_without_strength_it_is_the_plain_order(drawn: tuple[Catalog, Ranking], k: int) -> None:
    catalog, ranking = drawn
    got = Diverse(catalog, 0.0, k).rerank(ranking, NOBODY)
    np.testing.assert_array_equal(got.items, ranking.items[:, :k])
    np.testing.assert_array_equal(got.scores, ranking.scores[:, :k])


@given(rankings(), st.sampled_from(STRENGTHS))
def test_the_best_item_stays_first_and_other_users_change_nothing(
    drawn: tuple[Catalog, Ranking], strength: float
) -> None:
    catalog, ranking = drawn
    diverse = Diverse(catalog, strength, 5)
    got = diverse.rerank(ranking, NOBODY)
    np.testing.assert_array_equal(got.items[:, 0], ranking.items[:, 0])
    for row in range(len(ranking.items)):
        one = diverse.rerank(
            Ranking(ranking.items[row : row + 1], ranking.scores[row : row + 1]), NOBODY
        )
        np.testing.assert_array_equal(one.items[0], got.items[row])


@given(st.integers(0, 2**32 - 1))
def test_the_second_item_is_never_more_alike_with_more_strength(seed: int) -> None:
    catalog, ranking = random_lists(seed)
    alike = []
    for strength in STRENGTHS:
        vectors = catalog.vectors_of(Diverse(catalog, strength, 2).rerank(ranking, NOBODY).items)
        alike.append(np.maximum((vectors[:, 0] * vectors[:, 1]).sum(axis=1), 0))
    assert (np.diff(alike, axis=0) <= 1e-6).all()


@given(st.integers(0, 2**32 - 1))
def test_diversity_of_random_lists_does_not_fall_with_strength(seed: int) -> None:
    catalog, ranking = random_lists(seed)
    found = [
        diversity(
            Diverse(catalog, strength, 10).rerank(ranking, NOBODY).items, catalog.vectors
        ).mean()
        for strength in STRENGTHS
    ]
    # The mean of many lists: a single one is chosen greedily, by its nearest pairs, not by all.
    assert (np.diff(found) > -0.005).all()
    assert found[-1] > found[0] + 0.05


def random_lists(seed: int) -> tuple[Catalog, Ranking]:
    """100 rankings of 40 of 200 items, of 8 dimensions with a common direction."""
    random = np.random.default_rng(seed)
    catalog = catalog_of(unit_rows(random.standard_normal((200, 8)) + 0.5))
    items = np.argsort(random.random((100, 200)), axis=1)[:, :40].astype(np.int32)
    scores = random.standard_normal((100, 40)).astype(np.float32)
    return catalog, Best(40).rerank(Ranking(items, scores), NOBODY)


def test_an_item_like_the_first_falls_behind_by_the_strength() -> None:
    catalog = catalog_of(np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], np.float32))
    ranking = Ranking(
        np.array([[0, 1, 2, 3]], np.int32), np.array([[3.0, 2.9, 2.0, 1.0]], np.float32)
    )

    def order(strength: float) -> list[int]:
        items: list[int] = Diverse(catalog, strength, 4).rerank(ranking, NOBODY).items[0].tolist()
        return items

    assert order(0.8) == [0, 1, 2, 3]
    assert order(1.0) == [0, 2, 1, 3]  # item 1 is worth 1.9 then
    assert order(2.0) == [0, 2, 3, 1]
    # The opposite of an item is no more welcome than one at a right angle.
    assert order(100.0) == [0, 2, 3, 1]


def test_an_item_without_a_vector_loses_as_much_as_the_others_in_the_mean() -> None:
    catalog = catalog_of(np.array([[1, 0], [1, 0], [0, 1], [0, 0]], np.float32))

    def second(of_stranger: float) -> int:
        scores = np.array([[5.0, 2.5, 1.0, of_stranger]], np.float32)
        ranking = Ranking(np.array([[0, 1, 2, 3]], np.int32), scores)
        return int(Diverse(catalog, 2.0, 2).rerank(ranking, NOBODY).items[0, 1])

    # Item 1 loses 2 of 2.5, item 2 nothing of 1, and the item without a vector 1.
    assert second(1.9) == 2
    assert second(2.1) == 3


def test_ties_go_to_the_earlier_column() -> None:
    catalog = catalog_of(np.zeros((5, 3), np.float32))
    ranking = Ranking(np.array([[4, 2, 0, 1, 3]], np.int32), np.zeros((1, 5), np.float32))
    assert Diverse(catalog, 3.0, 3).rerank(ranking, NOBODY).items.tolist() == [[4, 2, 0]]


@pytest.mark.parametrize("shape", [(0, 4), (2, 0)])
def test_nothing_to_choose_from_gives_nothing(shape: tuple[int, int]) -> None:
    ranking = Ranking(np.zeros(shape, np.int32), np.zeros(shape, np.float32))
    got = Diverse(catalog_of(np.eye(2, dtype=np.float32)), 1.0, 3).rerank(ranking, NOBODY)
    assert got.items.shape == (shape[0], min(3, shape[1]))
