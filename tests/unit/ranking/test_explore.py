"""A new arrival gets its share of the lists, and every place says how likely it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranked_users import one_user
from small_release import DIM, small_release, unit_rows

from schemas import Item
from stream_app.bundle import Bundle
from stream_app.plan import Plan, PlanError
from stream_app.ranking import (
    LiveStores,
    Pin,
    Pipeline,
    Quota,
    Ranked,
    Terms,
    UserBatch,
    build_pipeline,
)
from stream_app.ranking.live.arrivals import LOOK_MS, NEW_EVENTS, NEW_LISTS
from stream_app.ranking.rerankers.explore import UNIFORM, uniform

K = 10
SHARE = 0.5
LOWER = range(5, 10)


class Shop:
    """A release of 60 items, and what has joined since."""

    def __init__(self, arrivals: int, share: float = SHARE, k: int = K) -> None:
        self.bundle: Bundle = small_release(60)
        self.live = LiveStores.of(self.bundle)
        self.now_ms = 0
        self.new = [self.arrive(f"new-{n}") for n in range(arrivals)]
        self.pipeline: Pipeline = build_pipeline(
            self.bundle, self.live, k=k, plan=Plan(exploration=share)
        )
        self.look()

    def arrive(self, name: str) -> int:
        position = self.bundle.catalog.index_or_add(name)
        self.live.items.say(position, Item(item_id=name))
        return position

    def look(self) -> None:
        self.now_ms += LOOK_MS
        self.live.items.at(self.now_ms)
        self.live.grow(len(self.bundle.catalog))
        self.live.arrivals.at(self.now_ms)

    def users(self, count: int, seeds: int = 0) -> UserBatch:
        """One user again and again, each time with another seed."""
        one = one_user(unit_rows(np.ones((1, DIM)))[0], [4])
        past = replace(
            one.past, rows=np.arange(count), items=one.past.items.repeat(count),
            actions=one.past.actions.repeat(count), ages_ms=one.past.ages_ms.repeat(count),
        )  # fmt: skip
        chance = np.random.default_rng(seeds).integers(0, 2**64, count, np.uint64)
        recent = one.recent.repeat(count, axis=0)
        return UserBatch(one.vectors.repeat(count, axis=0), recent, past, seeds=chance)

    def rank(self, users: UserBatch) -> Ranked:
        return self.pipeline.rank(users, {})

    def without_chance(self, users: UserBatch) -> Ranked:
        return self.rank(replace(users, seeds=None))


def test_without_new_arrivals_nothing_is_drawn() -> None:
    shop = Shop(arrivals=0)
    users = shop.users(40)
    ranked, plain = shop.rank(users), shop.without_chance(users)
    np.testing.assert_array_equal(ranked.items, plain.items)
    assert np.isnan(ranked.propensities).all()
    shop.live.trends.learn(np.array([3], np.int32), np.array([5]))
    came = shop.bundle.catalog.index_or_add("clicked, never listed")
    shop.look()
    assert came not in shop.live.arrivals.newest


def test_an_untouched_item_reaches_its_share_of_the_lists_in_the_lower_half() -> None:
    shop = Shop(arrivals=1)
    users = shop.users(4_000)
    assert not (shop.without_chance(users).items == shop.new[0]).any(), "nothing else lists it"
    ranked = shop.rank(users)
    found = ranked.items == shop.new[0]
    assert found.sum(axis=1).max() == 1
    assert found.any(axis=1).mean() == pytest.approx(SHARE, abs=0.03)
    assert found.any(axis=0).nonzero()[0].tolist() == list(LOWER)
    names = [source.name for source in shop.pipeline.sources]
    assert (ranked.sources[found] == 1 << names.index("new")).all()


def test_the_propensity_of_every_place_is_its_frequency() -> None:
    shop = Shop(arrivals=4)
    lists = 20_000
    ranked = shop.rank(shop.users(lists))
    usual = shop.without_chance(shop.users(1)).items[0]
    for place in range(K):
        items, at, times = np.unique(ranked.items[:, place], return_index=True, return_counts=True)
        told = ranked.propensities[at, place]
        assert told.sum() == pytest.approx(1, abs=1e-6), "all that could have come came"
        error = 4 * np.sqrt(told * (1 - told) / lists) + 1e-9
        assert (np.abs(times / lists - told) <= error).all()
        if place in LOWER:
            assert set(items.tolist()) == {usual[place], *shop.new}
            drawn = told[np.isin(items, shop.new)]
            assert drawn.min() >= SHARE / len(LOWER) * UNIFORM / 4 - 1e-7
        else:
            assert items.tolist() == [usual[place]]


def test_the_same_seed_gives_the_same_list_in_any_batch() -> None:
    shop = Shop(arrivals=3)
    users = shop.users(64)
    ranked = shop.rank(users)
    alone = [shop.rank(users.rows(row, row + 1)) for row in range(64)]
    np.testing.assert_array_equal(ranked.items, np.concatenate([one.items for one in alone]))
    chosen = np.array([9, 3, 40])
    np.testing.assert_array_equal(shop.rank(users.only(chosen)).items, ranked.items[chosen])


def test_what_must_not_be_in_a_list_is_not_drawn() -> None:
    shop = Shop(arrivals=3, share=1.0)
    first, second, third = shop.new
    shop.live.items.delist(first)
    shop.look()
    size = len(shop.bundle.catalog)
    users = shop.users(50)
    past = replace(users.past, items=np.full(50, second, np.int32))  # clicked
    allowed = np.ones(size + 1, np.bool_)
    allowed[[third, -1]] = False
    quota = Quota(~allowed, 1)
    for terms, drawn in (
        (Terms(), third),
        (Terms(allowed=allowed), None),
        (Terms(quotas=(quota,)), None),
    ):
        ranked = shop.rank(replace(users, past=past, terms=terms))
        new = ranked.items >= 60
        assert (set(ranked.items[new].tolist()) or {None}) == {drawn}
        assert np.isnan(ranked.propensities).all() == (drawn is None)


def test_pinned_places_stay() -> None:
    shop = Shop(arrivals=1, share=1.0)
    pins = tuple(Pin(place, np.array([0], np.int32)) for place in (2, 5, 5, 8, 9))
    ranked = shop.rank(replace(shop.users(50), terms=Terms(pins=pins)))
    assert (ranked.items == shop.new[0]).any(axis=0).nonzero()[0].tolist() == [7]
    everywhere = tuple(Pin(place, np.array([0], np.int32)) for place in LOWER)
    ranked = shop.rank(replace(shop.users(50), terms=Terms(pins=everywhere)))
    assert not (ranked.items == shop.new[0]).any()


def test_an_item_that_had_its_events_is_no_arrival_any_more() -> None:
    shop = Shop(arrivals=2)
    times = np.full(int(NEW_EVENTS), 1_000, np.int64)
    shop.live.trends.learn(np.full(len(times), shop.new[0], np.int32), times)
    shop.look()
    assert shop.live.arrivals.newest.tolist() == [shop.new[1]]


def test_an_item_that_nobody_wants_makes_room() -> None:
    shop = Shop(arrivals=1, share=1.0)
    shop.rank(shop.users(NEW_LISTS - 1))
    shop.look()
    assert len(shop.live.arrivals) == 1
    shop.rank(shop.users(1))
    shop.look()
    assert len(shop.live.arrivals) == 0
    later = shop.arrive("later")
    shop.look()
    assert shop.live.arrivals.newest.tolist() == [later]


@pytest.mark.parametrize("k", [1, 2, 3, 200])
def test_lists_of_any_length_stay_full(k: int) -> None:
    shop = Shop(arrivals=1, share=1.0, k=k)
    ranked = shop.rank(shop.users(20))
    held = (ranked.items >= 0).sum(axis=1)
    assert (held == min(k, 60)).all()  # 60, one of them clicked, and the new one
    if k < 60:
        drawn = (ranked.items[:, : (k + 1) // 2] >= 60).any()
        assert not drawn, "the upper half is as it was"
    else:
        assert np.isnan(ranked.propensities).all(), "whatever there is is in the list"


@given(st.integers(0, 2**64 - 1), st.integers(1, 3))
def test_uniform_numbers_are_uniform(first: int, stream: int) -> None:
    seeds = np.uint64(first) + np.arange(2_000, dtype=np.uint64)
    numbers = uniform(seeds, stream)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert numbers.mean() == pytest.approx(0.5, abs=0.04)
    assert abs(np.corrcoef(numbers, uniform(seeds, stream + 1))[0, 1]) < 0.12


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(PlanError, match=r"exploration is 1.5; write a share from 0 to 1"):
        Plan(exploration=1.5)
