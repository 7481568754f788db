"""Live transition counts: exact while there is room, bounded and fair to newcomers after."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.ranking.live.transitions import FAN_OUT, TransitionStore

pairs = st.lists(st.tuples(st.integers(-1, 9), st.integers(-1, 9)), max_size=80)


def learn(store: TransitionStore, some: list[tuple[int, int]]) -> None:
    array = np.array(some, np.int32).reshape(-1, 2)
    store.learn(array[:, :1], array[:, 1])


def counted(store: TransitionStore) -> dict[tuple[int, int], float]:
    rows = np.arange(len(store), dtype=np.int32)
    items, shares = store.successors_of(rows)
    found = {}
    for row in rows.tolist():
        for item, share in zip(items[row].tolist(), shares[row].tolist(), strict=True):
            if item >= 0:
                found[row, item] = share
    return found


@given(pairs, st.integers(0, 80))
def test_counts_are_exact_in_any_batches_while_there_is_room(
    some: list[tuple[int, int]], cut: int
) -> None:
    store = TransitionStore.empty(10)
    learn(store, some[:cut])
    learn(store, some[cut:])
    counts = Counter((a, b) for a, b in some if a >= 0 and b >= 0 and a != b)
    totals = Counter[int]()
    for (row, _), number in counts.items():
        totals[row] += number
    found = counted(store)
    assert found.keys() == counts.keys()
    for pair, number in counts.items():
        assert found[pair] == pytest.approx(number / (totals[pair[0]] + 1))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 199)), min_size=1, max_size=400))
def test_a_full_row_stays_bounded_without_repeats_and_keeps_the_frequent(
    some: list[tuple[int, int]],
) -> None:
    store = TransitionStore.empty(200)
    for start in range(0, len(some), 64):
        learn(store, some[start : start + 64])
    items, shares = store.successors_of(np.arange(3, dtype=np.int32))
    assert items.shape == (3, FAN_OUT)
    assert shares.max() <= 1.0 + 1e-6
    for row in range(3):
        held = [item for item in items[row].tolist() if item >= 0]
        assert len(held) == len(set(held))
        counts = Counter(b for a, b in some if a == row and b != row)
        for item, number in counts.items():
            if number > sum(counts.values()) / FAN_OUT + 1 and len(some) <= 64:
                assert item in held  # what Space-Saving guarantees


def test_a_newcomer_that_keeps_coming_gets_into_a_full_row() -> None:
    store = TransitionStore(
        np.arange(1, FAN_OUT + 1, dtype=np.int32)[None, :].repeat(40, axis=0),
        np.full((40, FAN_OUT), 5.0, np.float32),
    )
    learn(store, [(0, 39)])
    learn(store, [(0, 39)])
    items, shares = store.successors_of(np.array([0], np.int32))
    assert items[0, shares[0].argmax()] == 39


def test_it_starts_from_the_priors_and_grows_with_the_catalogue() -> None:
    successors = np.full((2, FAN_OUT), -1, np.int32)
    counts = np.zeros((2, FAN_OUT), np.float32)
    successors[0, 0], counts[0, 0] = 1, 3
    store = TransitionStore(successors, counts)
    store.grow(5)
    learn(store, [(4, 0), (0, 4)])
    assert counted(store) == pytest.approx({(0, 1): 3 / 5, (0, 4): 1 / 5, (4, 0): 1 / 2})


def test_no_item_has_no_successors() -> None:
    store = TransitionStore.empty(3)
    learn(store, [(0, 1), (2, 1)])
    items, shares = store.successors_of(np.array([-1], np.int32))
    assert (items == -1).all()
    assert (shares == 0).all()


def test_repeated_successors_in_priors_are_taken_once() -> None:
    successors = np.full((3, FAN_OUT), -1, np.int32)
    successors[0, :3] = [2, 1, 2]
    store = TransitionStore(successors, np.ones((3, FAN_OUT), np.float32))
    items, _ = store.successors_of(np.array([0], np.int32))
    assert items[0, :3].tolist() == [2, 1, -1]


def test_old_counts_of_a_busy_item_lose_weight() -> None:
    successors = np.full((3, FAN_OUT), -1, np.int32)
    counts = np.zeros((3, FAN_OUT), np.float32)
    successors[0, 0], counts[0, 0] = 1, 100_000
    store = TransitionStore(successors, counts)
    learn(store, [(0, 2)])
    _, shares = store.successors_of(np.array([0], np.int32))
    assert shares[0].max() * 50_001.5 == pytest.approx(50_000)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="must both be"):
        TransitionStore(np.zeros((2, 3), np.int32), np.zeros((2, 4), np.float32))
