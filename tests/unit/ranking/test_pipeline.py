"""Lists are full, hold nothing forbidden and nothing twice, and say where items came from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranked_users import batches, forbidden_to, one_user
from small_release import DIM, small_release

from stream_app.errors import UserError
from stream_app.plan import Plan
from stream_app.ranking import (
    FILTERS,
    LiveStores,
    Ranked,
    SeenIndex,
    UserBatch,
    build_pipeline,
    user_batch,
)
from stream_app.ranking.batch import RECENT
from stream_app.ranking.grid import Grid
from stream_app.ranking.pipeline import Pipeline
from stream_app.users import SourceEvent, UserState, apply, item_hash
from stream_app.users.actions import PURCHASE


class FixedGrid(Grid):
    """Takes a number of users at once, whatever the size of the catalogue."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._rows = rows

    def rows_at_once(self, items: int) -> int:
        return self._rows


def rank(
    items: int,
    users: UserBatch,
    *,
    k: int = 10,
    filters: tuple[str, ...] = ("bought", "clicked"),
    rows_at_once: int = 2,
) -> Ranked:
    bundle = small_release(items)
    pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=k, plan=Plan(filters=filters))
    pipeline.grid = FixedGrid(rows_at_once)
    return pipeline.rank(users, {})


@given(batches(), st.integers(1, 30), st.sets(st.sampled_from(sorted(FILTERS))))
def test_a_list_is_full_while_permitted_items_exist_and_never_holds_a_forbidden_one(
    batch: tuple[int, UserBatch], k: int, chosen: set[str]
) -> None:
    items, users = batch
    filters = tuple(sorted(chosen))
    ranked = rank(items, users, k=k, filters=filters)
    assert ranked.items.shape == (len(users), k)
    for row in range(len(users)):
        shown = [item for item in ranked.items[row].tolist() if item >= 0]
        forbidden = forbidden_to(users, row, filters)
        assert not forbidden.intersection(shown)
        assert len(shown) == len(set(shown))
        assert len(shown) == min(k, items - len(forbidden))


@given(batches())
def test_a_list_is_ordered_and_every_item_has_a_source(batch: tuple[int, UserBatch]) -> None:
    ranked = rank(*batch)
    held = ranked.items >= 0
    assert (np.diff(held.astype(int), axis=1) <= 0).all()  # no gaps
    assert ((ranked.sources > 0) == held).all()
    both = held[:, 1:]
    assert (ranked.scores[:, :-1][both] >= ranked.scores[:, 1:][both]).all()


@given(batches())
def test_the_size_of_the_chunks_does_not_matter(batch: tuple[int, UserBatch]) -> None:
    small, large = (rank(*batch, rows_at_once=rows) for rows in (1, 5))
    same = small.items == large.items
    # The matrix product may round differently: then neighbours of equal score change places.
    np.testing.assert_allclose(small.scores[~same], large.scores[~same], rtol=1e-4)
    np.testing.assert_allclose(small.scores, large.scores, rtol=1e-4, atol=1e-5)


@given(batches())
def test_ranking_twice_gives_the_same_lists(batch: tuple[int, UserBatch]) -> None:
    items, users = batch
    bundle = small_release(items)
    pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=7)
    first, second = pipeline.rank(users, {}), pipeline.rank(users, {})
    for field in ("items", "scores", "sources"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    assert not pipeline.grid.marks.any()


def test_a_stage_that_fails_leaves_nothing_behind() -> None:
    bundle = small_release(30)
    pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=5)
    user = one_user(bundle.catalog.vectors[0], [4])
    expected = pipeline.rank(user, {})
    broken = UserBatch(np.full((1, DIM + 1), 0.5, np.float32), user.recent, user.past)
    with pytest.raises(ValueError, match="matmul"):
        pipeline.rank(broken, {})
    np.testing.assert_array_equal(pipeline.rank(user, {}).items, expected.items)


def learn_nothing(live: LiveStores, catalog_size: int) -> None:
    none = np.zeros(0, np.int32)
    times = np.zeros(0, np.int64)
    live.learn(catalog_size, none.reshape(0, 1), none, times, np.zeros(0, np.bool_), times)


def test_items_that_join_the_catalogue_fill_a_list_at_last() -> None:
    bundle = small_release(3)
    live = LiveStores.of(bundle)
    pipeline = build_pipeline(bundle, live, k=5)
    for name in ("new-1", "new-2"):
        bundle.catalog.index_or_add(name)
    learn_nothing(live, 5)
    ranked = pipeline.rank(one_user(np.zeros(DIM, np.float32), []), {})
    assert sorted(ranked.items[0].tolist()) == [0, 1, 2, 3, 4]


def test_an_item_names_all_sources_that_proposed_it() -> None:
    bundle = small_release(30)
    pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=5)
    names = [source.name for source in pipeline.sources]
    assert names == ["personal", "transitions", "trending", "related", "new", "pinned", "popular"]
    ranked = pipeline.rank(one_user(bundle.catalog.vectors[0], [4]), {})
    successors = set(bundle.priors.successors[4].tolist())
    for item, marks in zip(ranked.items[0].tolist(), ranked.sources[0].tolist(), strict=True):
        assert marks & 1  # 30 items are fewer than the depth of the search
        assert bool(marks & 2) == (item in successors)
        assert bool(marks & 4) == (bundle.priors.popularity[item] > 0)
        assert not marks & (8 | 16 | 32 | 64)


def test_scores_add_up_as_the_manifest_says() -> None:
    bundle = small_release(12)
    live = LiveStores.of(bundle)
    pipeline = build_pipeline(bundle, live, k=3)
    vector = bundle.catalog.vectors[0]
    ranked = pipeline.rank(one_user(vector, [4, 6]), {})
    weights = bundle.manifest.ranking
    followers, shares = live.transitions.successors_of(np.array([4, 6], np.int32))
    for item, score in zip(ranked.items[0], ranked.scores[0], strict=True):
        cosine = float(bundle.catalog.vectors[item] @ vector)
        after = [float(shares[n][followers[n] == item].sum()) for n in (0, 1)]
        follows = (after[0] + 0.8 * after[1]) / sum(0.8**place for place in range(RECENT))
        expected = (
            weights.personal * cosine / weights.temperature
            + weights.transition * np.log(follows + 3e-4)
            + weights.trending * float(live.trends.log_share(np.array([item], np.int32))[0])
        )
        assert score == pytest.approx(expected, rel=1e-4)


def test_stages_are_timed() -> None:
    bundle = small_release(12)
    pipeline: Pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=3)
    seconds: dict[str, float] = {}
    pipeline.rank(one_user(bundle.catalog.vectors[0], []), seconds)
    assert seconds.keys() == {"retrieve", "rank"}
    assert min(seconds.values()) > 0


def test_an_unknown_filter_and_a_list_without_length_are_refused() -> None:
    bundle = small_release(3)
    live = LiveStores.of(bundle)
    with pytest.raises(UserError, match="filter 'sold' is unknown; use some of: bought, clicked"):
        build_pipeline(bundle, live, k=3, plan=Plan(filters=("sold",)))
    with pytest.raises(ValueError, match="k=0"):
        build_pipeline(bundle, live, k=0)


def row_of(items: list[int], action: int = 2) -> UserState:
    state = UserState(vector=np.ones(DIM, np.float16).tobytes() if items else b"")
    for at, item in enumerate(items):
        event = SourceEvent(item_hash(f"item-{item}"), at, action, 1, "clicks/0", at)
        state, _ = apply(state, event)
    return state


def test_users_are_laid_out_with_their_last_items_newest_first() -> None:
    catalog = small_release(15).catalog
    states = [row_of([0, 1, 2]), row_of([]), row_of(list(range(12))), row_of([99, 3])]
    users = user_batch(states, catalog, SeenIndex(catalog))
    padding = [-1] * 7
    assert users.recent.tolist() == [
        [2, 1, 0, *padding],
        [-1, -1, -1, *padding],
        list(range(11, 1, -1)),
        [3, -1, -1, *padding],
    ]
    assert users.vectors.sum(axis=1).tolist() == [DIM, 0, DIM, DIM]
    assert users.past.rows.tolist() == [0] * 3 + [2] * 12 + [3] * 2
    assert users.past.items.tolist() == [0, 1, 2, *range(12), -1, 3]
    assert user_batch([row_of([])], catalog, SeenIndex(catalog)).recent.tolist() == [[-1] * 10]


def test_items_beyond_the_ring_are_part_of_the_past() -> None:
    bundle = small_release(130)
    seen = SeenIndex(bundle.catalog)
    for name in range(130, 140):  # join the catalogue after the index was made
        bundle.catalog.index_or_add(f"item-{name}")
    everything = [*range(130, 140), *range(130)]
    states = [row_of([5]), row_of(everything, PURCHASE), row_of([6], PURCHASE)]
    users = user_batch(states, bundle.catalog, seen)
    past = users.past
    assert (np.diff(past.rows) >= 0).all()
    assert sorted(past.items[past.rows == 1].tolist()) == list(range(140))
    assert (past.actions[past.rows == 1] == PURCHASE).all()
    assert users.only(np.array([1, 2])).past.rows.tolist() == [0] * 140 + [1]
    assert users.rows(1, 2).past.items.tolist() == past.items[past.rows == 1].tolist()
    live = LiveStores.of(bundle)
    learn_nothing(live, 140)
    ranked = build_pipeline(bundle, live, k=5).rank(users, {})
    assert (ranked.items[1] == -1).all()  # has bought everything
    assert (ranked.items[[0, 2]] >= 0).all()
