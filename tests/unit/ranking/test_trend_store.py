"""What is popular now: decay by event time, the same in any batches, exact at the top."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.ranking.live.trends import TrendStore

HALF_LIFE = 1_000.0
ITEMS = 30

events = st.lists(
    st.tuples(st.integers(-1, ITEMS - 1), st.integers(0, 200_000)), min_size=1, max_size=120
)


def store(top: int = 5, counts: list[float] | None = None) -> TrendStore:
    start = np.zeros(ITEMS, np.float32) if counts is None else np.array(counts, np.float32)
    return TrendStore(start, 0, HALF_LIFE, top)


def learn(trends: TrendStore, some: list[tuple[int, int]]) -> None:
    array = np.array(some, np.int64).reshape(-1, 2)
    trends.learn(array[:, 0].astype(np.int32), array[:, 1])


def decayed(some: list[tuple[int, int]]) -> np.ndarray:
    counts = np.zeros(ITEMS)
    now = max((at for item, at in some if item >= 0), default=0)
    for item, at in some:
        if item >= 0:
            counts[item] += 2.0 ** ((at - now) / HALF_LIFE)
    return counts


@given(events, st.integers(0, 120))
def test_shares_are_those_of_decayed_counts_in_any_batches(
    some: list[tuple[int, int]], cut: int
) -> None:
    trends = store()
    learn(trends, some[:cut])
    learn(trends, some[cut:])
    counts = decayed(some)
    expected = np.log((counts + 1 / ITEMS) / (counts.sum() + 1))
    np.testing.assert_allclose(
        trends.log_share(np.arange(ITEMS, dtype=np.int32)), expected, rtol=1e-4, atol=1e-4
    )


@given(events, st.integers(1, 20))
def test_the_top_is_exact_although_only_items_with_events_are_looked_at(
    some: list[tuple[int, int]], size: int
) -> None:
    trends = store()
    for start in range(0, len(some), size):
        learn(trends, some[start : start + size])
    counts = decayed(some)
    best = np.sort(counts)[::-1][:5]
    got = counts[trends.top]
    np.testing.assert_allclose(got, best[: len(got)], rtol=1e-9)
    assert (best[len(got) :] < 1e-15).all()  # decayed to nothing, or never seen


def test_it_starts_from_the_priors() -> None:
    counts = [0.0] * ITEMS
    counts[3], counts[7] = 5.0, 9.0
    assert store(counts=counts).top.tolist() == [7, 3]


def test_an_event_now_outweighs_many_long_ago() -> None:
    trends = store()
    learn(trends, [(1, 0)] * 100)
    learn(trends, [(2, 100_000)])
    assert trends.top.tolist()[0] == 2


def test_new_items_can_be_trending() -> None:
    trends = store()
    trends.grow(ITEMS + 3)
    learn(trends, [(ITEMS + 2, 5)])
    assert trends.top.tolist() == [ITEMS + 2]
    assert len(trends) == ITEMS + 3


def test_a_half_life_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="half-life of 0 ms"):
        TrendStore(np.zeros(1, np.float32), 0, 0)
