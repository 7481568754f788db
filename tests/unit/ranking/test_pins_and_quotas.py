"""Pins stand where they belong, quotas hold, and lists are full while they can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from ranked_users import batches, forbidden_to, one_user
from small_release import DIM, small_release

from stream_app.ranking import LiveStores, Pin, Quota, Terms, build_pipeline
from stream_app.ranking.candidates import Ranking
from stream_app.ranking.rerankers import Best, Ruled

NOBODY = one_user(np.zeros(DIM, np.float32), [])


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, int, Terms]:
    """Scores of some items in rows, -inf where the user must not be shown one, and terms."""
    size = draw(st.integers(1, 14))
    rows = draw(st.integers(1, 3))
    grades = st.sampled_from([-np.inf, -2.0, -1.0, 0.0, 0.5, 1.0])
    scores = np.array(
        draw(st.lists(grades, min_size=rows * size, max_size=rows * size)), np.float32
    ).reshape(rows, size)
    k = draw(st.integers(1, 8))
    item = st.integers(0, size)  # the last is in no ranking
    pins = draw(
        st.lists(st.tuples(st.integers(0, 9), st.lists(item, max_size=3, unique=True)), max_size=4)
    )
    groups = draw(
        st.lists(
            st.tuples(st.lists(st.booleans(), min_size=size, max_size=size), st.integers(0, 4)),
            max_size=3,
        )
    )
    terms = Terms(
        pins=tuple(Pin(place, np.array(items, np.int32)) for place, items in pins),
        quotas=tuple(Quota(np.array([*group, False, False]), most) for group, most in groups),
    )
    return scores, k, terms


def by_hand(scores: list[float], k: int, terms: Terms) -> list[int]:
    """One list, item after item."""
    room = [quota.at_most for quota in terms.quotas]
    shown = {item for item, score in enumerate(scores) if score > -np.inf}
    pinned: list[tuple[int, int]] = []

    def fits(item: int) -> bool:
        return all(
            left > 0 or not quota.items[item]
            for left, quota in zip(room, terms.quotas, strict=True)
        )

    def take(item: int) -> None:
        shown.discard(item)
        for number, quota in enumerate(terms.quotas):
            room[number] -= bool(quota.items[item])

    for pin in terms.pins:
        if pin.place < k:
            for item in pin.items.tolist():
                if item in shown and fits(item):
                    take(item)
                    pinned.append((pin.place, item))
                    break
    rest = []
    for item in sorted(shown, key=lambda item: (-scores[item], item)):
        if fits(item):
            take(item)
            rest.append(item)
    places: list[int | None] = [None] * k
    for place, item in pinned:
        free = [at for at in range(place, k) if places[at] is None]
        if free:
            places[free[0]] = item
    following = iter(rest)
    filled = [item if item is not None else next(following, None) for item in places]
    return [item for item in filled if item is not None]


@given(cases())
@settings(max_examples=400, deadline=None)
def test_lists_are_those_that_one_would_make_by_hand(case) -> None:
    scores, k, terms = case
    items = np.broadcast_to(np.arange(scores.shape[1], dtype=np.int32), scores.shape)
    users = replace(NOBODY, terms=terms)
    made = Ruled([Best(k + 10)], k, k + 10).rerank(Ranking(items, scores), users)
    for row in range(len(scores)):
        found = made.items[row, :k]
        expected = by_hand(scores[row].tolist(), k, terms)
        assert found[found >= 0].tolist() == expected
        assert (found[: len(expected)] >= 0).all(), "what is missing is missing at the end"
        for item, score in zip(found.tolist(), made.scores[row, :k].tolist(), strict=True):
            assert score == (scores[row, item] if item >= 0 else -np.inf)


def test_a_ranking_without_columns_stays_empty() -> None:
    none = Ranking(np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32))
    terms = Terms(pins=(Pin(0, np.array([1], np.int32)),))
    made = Ruled([Best(5)], 5, 5).rerank(none, replace(NOBODY, terms=terms))
    assert made.items.shape[0] == 1


@given(batches(), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_list_holds_what_is_forbidden_and_none_is_short(case, k, seed) -> None:
    items, users = case
    random = np.random.default_rng(seed)
    bundle = small_release(items)
    filters = ("bought", "clicked")
    allowed = np.append(random.random(items) < 0.8, False)
    group = np.append(random.random(items) < 0.5, False)
    at_most = int(random.integers(0, 4))
    wanted = random.permutation(items)[:3].astype(np.int32)
    terms = Terms(
        allowed=allowed,
        pins=(Pin(int(random.integers(0, k)), wanted),),
        quotas=(Quota(group, at_most),),
    )
    bundle.catalog.set_available(random.random(items) < 0.9)
    pipeline = build_pipeline(bundle, LiveStores.of(bundle), k=k)
    ranked = pipeline.rank(replace(users, terms=terms), {})
    for row in range(len(users)):
        shown = [item for item in ranked.items[row].tolist() if item >= 0]
        forbidden = forbidden_to(users, row, filters)
        permitted = {
            item
            for item in range(items)
            if allowed[item] and bundle.catalog.available[item] and item not in forbidden
        } if bundle.catalog.available is not None else {
            item for item in range(items) if allowed[item] and item not in forbidden
        }  # fmt: skip
        assert set(shown) <= permitted
        assert len(set(shown)) == len(shown)
        assert sum(group[item] for item in shown) <= at_most
        outside = sum(not group[item] for item in permitted)
        inside = min(at_most, len(permitted) - outside)
        assert len(shown) == min(k, outside + inside)
        first = next((item for item in wanted.tolist()
                      if item in permitted and (at_most or not group[item])), None)  # fmt: skip
        if first is not None:
            assert shown.index(first) == min(terms.pins[0].place, len(shown) - 1)
