"""Counts of the training data are those that the stream would have made of the same events."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.bundle import RankingWeights
from stream_app.datasets import EventTable
from stream_app.datasets.events import Row
from stream_app.ranking.live.transitions import LAG_DECAY, TransitionStore
from stream_app.training import priors as priors_module
from stream_app.training.priors import count_priors

ITEMS = 12
events = st.lists(st.tuples(st.integers(0, 3), st.integers(0, ITEMS - 1)), min_size=1, max_size=60)


def table_of(some: list[tuple[int, int]]) -> EventTable:
    rows = [Row(f"user-{user}", f"item-{item}", at, 2) for at, (user, item) in enumerate(some)]
    return EventTable.from_rows(rows, "test")


def learned_live(table: EventTable, ranking: RankingWeights) -> TransitionStore:
    store = TransitionStore.empty(ITEMS)
    past: dict[int, list[int]] = {}
    for user, item in zip(table.users.tolist(), table.items.tolist(), strict=True):
        history = past.setdefault(user, [])
        newest = [*reversed(history), *[-1] * ranking.lags][: ranking.lags]
        store.learn(np.array([newest], np.int32), np.array([item], np.int32), ranking.both_ways)
        history.append(item)
    return store


def shares(store: TransitionStore) -> dict[tuple[int, int], float]:
    items, found = store.successors_of(np.arange(ITEMS, dtype=np.int32))
    return {
        (row, item): share
        for row in range(ITEMS)
        for item, share in zip(items[row].tolist(), found[row].tolist(), strict=True)
        if item >= 0
    }


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("lags", [1, 3])
@given(some=events)
def test_what_follows_what(some: list[tuple[int, int]], lags: int, both_ways: bool) -> None:
    table, ranking = table_of(some), RankingWeights(lags=lags, both_ways=both_ways)
    places = np.arange(len(table.item_ids))
    priors = count_priors(table, places, ITEMS, ranking)
    live = shares(learned_live(table, ranking))
    assert shares(TransitionStore(priors.successors, priors.counts)) == pytest.approx(live)


def test_an_item_further_back_counts_less_and_both_ways_count_alike() -> None:
    store = TransitionStore.empty(ITEMS)
    store.learn(np.array([[1, 0, -1]], np.int32), np.array([2], np.int32), both_ways=True)
    total = 1 + 1  # one event more than was counted is reckoned to go elsewhere
    assert shares(store) == pytest.approx(
        {
            (1, 2): 1 / total,
            (0, 2): LAG_DECAY / (LAG_DECAY + 1),
            (2, 1): 1 / (1 + LAG_DECAY + 1),
            (2, 0): LAG_DECAY / (1 + LAG_DECAY + 1),
        }
    )


def test_items_that_are_not_in_the_catalogue_are_left_out_but_keep_their_place() -> None:
    table = table_of([(0, 0), (0, 1), (0, 2)])
    priors = count_priors(table, np.array([0, -1, 1]), 2, RankingWeights(lags=2))
    assert priors.successors[0, 0] == 1
    assert priors.counts[0, 0] == pytest.approx(LAG_DECAY)
    assert priors.counts[1].sum() == 0


def test_popularity_decays_as_the_trends_go_on_to() -> None:
    day = 86_400_000
    rows = [Row("ann", "old", 0, 2), Row("ann", "new", 30 * day, 2)]
    table = EventTable.from_rows(rows, "test")
    priors = count_priors(table, np.arange(2), 2, RankingWeights(trend_half_life_days=10))
    assert priors.popularity.tolist() == pytest.approx([1 / 8, 1])


def test_blocks_of_events_count_what_all_of_them_do(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    users, items = random.integers(0, 4, 200), random.integers(0, 9, 200)
    some = list(zip(users.tolist(), items.tolist(), strict=True))
    table, ranking = table_of(some), RankingWeights(lags=3, both_ways=True)
    places = np.arange(len(table.item_ids))
    whole = count_priors(table, places, ITEMS, ranking)
    for block in (1, 2, 3, 7, 199):
        monkeypatch.setattr(priors_module, "BLOCK", block)
        parts = count_priors(table, places, ITEMS, ranking)
        assert shares(TransitionStore(parts.successors, parts.counts)) == pytest.approx(
            shares(TransitionStore(whole.successors, whole.counts))
        )
