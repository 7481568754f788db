"""What becomes of candidates is counted as it is, and by a fair sample of batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranked_users import batches, forbidden_to, one_user
from small_release import small_release

from stream_app.plan import Plan
from stream_app.ranking import LiveStores, Terms, UserBatch, build_pipeline
from stream_app.ranking.batch import NONE
from stream_app.ranking.funnel import EVERY, Funnel
from stream_app.ranking.tally import TOGETHER, Tally


@given(batches(), st.integers(1, 8))
def test_every_candidate_is_counted_where_it_went(batch: tuple[int, UserBatch], k: int) -> None:
    items, users = batch
    bundle = small_release(items)
    plan = Plan(filters=("bought", "clicked"))
    pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=k, plan=plan)
    asked: list[UserBatch] = []
    proposed: dict[str, int] = {}
    candidates: list[set[tuple[int, int]]] = []
    for source in pipeline.sources:
        propose = source.propose

        def watch(users: UserBatch, name: str = source.name, propose=propose) -> list:
            if not asked or asked[-1] is not users:
                asked.append(users)
                candidates.append(set())
            made = propose(users)
            for one in made:
                shown = np.broadcast_to(one.items, (len(users), one.items.shape[1]))
                rows, places = (shown != NONE).nonzero()
                proposed[name] = proposed.get(name, 0) + len(rows)
                candidates[-1].update(zip(rows.tolist(), shown[rows, places].tolist(), strict=True))
            return made

        source.propose = watch  # type: ignore[method-assign]
    funnel = Funnel(every=1)
    pipeline.rank(users, {}, funnel=funnel)
    assert {name: count for name, count in funnel.proposed.items() if count} == {
        name: count for name, count in proposed.items() if count
    }
    for name in plan.filters:
        assert funnel.kept_out[name] == sum(
            item in forbidden_to(of, row, (name,))
            for of, found in zip(asked, candidates, strict=True)
            for row, item in found
        )
    assert funnel.weighed == sum(
        item not in forbidden_to(of, row, plan.filters)
        for of, found in zip(asked, candidates, strict=True)
        for row, item in found
    )


def test_what_the_catalogue_and_rules_keep_out_is_counted() -> None:
    bundle = small_release(40)
    pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=5)
    available, allowed = np.ones(40, np.bool_), np.ones(41, np.bool_)
    available[:10], allowed[5:15], allowed[-1] = False, False, False
    bundle.catalog.set_available(available)
    funnel = Funnel(every=1)
    user = replace(one_user(bundle.catalog.vectors[0], [20]), terms=Terms(allowed=allowed))
    pipeline.rank(user, {}, funnel=funnel)
    made = [one for source in pipeline.sources[:-1] for one in source.propose(user)]
    proposed = {item for one in made for item in one.items[0].tolist()} - {NONE, 20}
    unavailable = proposed & set(range(10))
    not_allowed = proposed & set(range(10, 15))
    assert unavailable
    assert not_allowed
    assert funnel.kept_out == {
        "bought": 0,
        "clicked": 1,
        "excluded": 0,
        "unavailable": len(unavailable),
        "rules": len(not_allowed),
    }
    assert funnel.weighed == len(proposed - unavailable - not_allowed)


def test_ranking_is_the_same_whether_it_is_counted_or_not() -> None:
    bundle = small_release(40)
    user = one_user(bundle.catalog.vectors[3], [1, 2])
    pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=5)
    plain = pipeline.rank(user, {})
    for got, expected in zip(pipeline.rank(user, {}, funnel=Funnel(1)), plain, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert not pipeline.grid.marks.any()


@pytest.mark.parametrize("step", [1, 2, 3, 16])
def test_one_batch_in_sixteen_is_counted_whatever_it_alternates_with(step: int) -> None:
    funnel = Funnel()
    due = [funnel.is_due() for _ in range(160_000)]
    assert sum(due[::step]) == pytest.approx(160_000 / step / EVERY, rel=0.01)


def test_what_is_counted_stands_for_what_is_not() -> None:
    funnel = Funnel()
    funnel.keep_out("bought", 3)
    funnel.weigh(2)
    assert (funnel.kept_out["bought"], funnel.weighed) == (3 * EVERY, 2 * EVERY)


def test_a_place_belongs_to_all_that_proposed_its_item() -> None:
    funnel = Funnel()
    names = ["personal", "trending", "popular"]
    funnel.place(names, np.array([0b001, 0b011, 0b111, 0b100], np.uint16))
    third = 1 / 3
    assert funnel.listed == pytest.approx(
        {"personal": 1 + 0.5 + third, "trending": 0.5 + third, "popular": third + 1}
    )
    assert sum(funnel.listed.values()) == pytest.approx(4)


def test_a_list_with_fewer_items_than_asked_for_is_short(degraded_by) -> None:
    bundle = small_release(8)
    pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=8)
    ranked = pipeline.rank(one_user(bundle.catalog.vectors[3], [1]), {})
    tally = Tally(bundle.catalog)
    tally.lists(ranked, [7], pipeline, 0)
    tally.fold()
    assert degraded_by() == {}
    tally.lists(ranked, [8], pipeline, 0)
    tally.fold()
    assert degraded_by() == {"list_short": 1}
    assert sum(tally.funnel.listed.values()) == pytest.approx(14)


def test_only_the_places_that_were_asked_for_count() -> None:
    bundle = small_release(40)
    tally = Tally(bundle.catalog)
    pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=6)
    ranked = pipeline.rank(one_user(bundle.catalog.vectors[3], [1]), {})
    tally.lists(ranked, [4], pipeline, 0)
    assert tally.shown(0).coverage == 4 / 40
    assert sum(tally.funnel.listed.values()) == pytest.approx(4)


def test_lists_are_counted_together_those_of_each_pipeline_by_its_sources() -> None:
    bundle = small_release(40)
    live, tally = LiveStores.of(bundle), Tally(bundle.catalog)
    user = one_user(bundle.catalog.vectors[3], [1])
    usual = build_pipeline(bundle, live, k=5)
    trending = build_pipeline(bundle, live, k=3, plan=Plan(sources=(("*", 0), ("trending", 50))))
    for _ in range(TOGETHER - 1):
        tally.lists(usual.rank(user, {}), [5], usual, 0)
    assert tally.funnel.listed == {}
    tally.lists(trending.rank(user, {}), [3], trending, 0)
    assert sum(tally.funnel.listed.values()) == pytest.approx(5 * (TOGETHER - 1))
    before = tally.funnel.listed["trending"]
    tally.fold()
    assert tally.funnel.listed["trending"] == pytest.approx(before + 3)
    for _ in range(TOGETHER):
        tally.lists(usual.rank(user, {}), [5], usual, 0)
    assert sum(tally.funnel.listed.values()) == pytest.approx(5 * (2 * TOGETHER - 1) + 3)
