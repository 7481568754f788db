"""Workers that merge each other's counts agree, in whatever order and however often they do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.ranking.live.counters import Counts, PartitionCounts
from stream_app.ranking.live.trends import TrendStore

HALF_LIFE = 1_000.0
ITEMS, PARTITIONS = 6, 3

events = st.lists(
    st.tuples(st.integers(0, PARTITIONS - 1), st.integers(0, ITEMS - 1), st.integers(0, 50_000)),
    max_size=60,
)


def columns(some: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    array = np.array(some, np.int64).reshape(-1, 3)
    return array[:, 0], array[:, 1].astype(np.int32), array[:, 2]


def counted(some: list[tuple[int, int, int]]) -> PartitionCounts:
    counts = PartitionCounts(HALF_LIFE)
    counts.count(*columns(some))
    return counts


def everything(counts: PartitionCounts) -> dict[tuple[int, int], float]:
    size = len(counts)
    held = zip(
        counts._partitions[:size].tolist(),
        counts._items[:size].tolist(),
        counts._levels[:size].tolist(),
        strict=True,
    )
    return {(partition, item): level for partition, item, level in held}


@given(events, st.randoms(use_true_random=False), st.integers(1, 7))
def test_merging_is_idempotent_and_needs_no_order(
    some: list[tuple[int, int, int]], chance, size: int
) -> None:
    """Every state that a writer published arrives late, twice or not at all, but the last."""
    writer, published = PartitionCounts(HALF_LIFE), []
    for start in range(0, len(some), size):
        writer.count(*columns(some[start : start + size]))
        published.append(writer.unpublished(1000))
    arriving = [*published, *(one for one in published if chance.random() < 0.5)]
    chance.shuffle(arriving)
    reader, again = PartitionCounts(HALF_LIFE), PartitionCounts(HALF_LIFE)
    for one in arriving:
        reader.merge(*one)
    for one in published:
        again.merge(*one)
    assert everything(reader) == everything(again) == everything(writer)
    for one in arriving:
        assert not len(reader.merge(*one).items), "nothing is new the second time"


@given(events, st.integers(1, 7))
def test_trends_of_all_partitions_are_the_counts_of_one_who_reads_them_all(
    some: list[tuple[int, int, int]], size: int
) -> None:
    """The owner of partition 0 hears of the others by their counts alone."""
    alone = TrendStore(np.zeros(ITEMS, np.float32), 0, HALF_LIFE)
    trends = TrendStore(np.zeros(ITEMS, np.float32), 0, HALF_LIFE)
    mine, theirs = PartitionCounts(HALF_LIFE), PartitionCounts(HALF_LIFE)
    for start in range(0, len(some), size):
        partitions, items, times = columns(some[start : start + size])
        alone.learn(items, times)
        own = partitions == 0
        mine.count(partitions[own], items[own], times[own])
        trends.learn(items[own], times[own])
        theirs.count(partitions[~own], items[~own], times[~own])
        for one in (theirs.unpublished(1000), mine.unpublished(1000)):  # and our own come back
            trends.add(mine.merge(*one), int(times.max()))
    every = np.arange(ITEMS, dtype=np.int32)
    np.testing.assert_allclose(trends.log_share(every), alone.log_share(every), rtol=1e-4)
    np.testing.assert_allclose(trends.events(every), alone.events(every), rtol=1e-6, atol=1e-9)


def test_who_takes_a_partition_over_goes_on_from_what_was_published() -> None:
    first, second = counted([(1, 2, 0), (1, 2, 0)]), PartitionCounts(HALF_LIFE)
    second.merge(*first.unpublished(1000))
    second.count(*columns([(1, 2, 0)]))
    assert 2 ** everything(second)[1, 2] == pytest.approx(3)
    first.merge(*second.unpublished(1000))
    assert 2 ** everything(first)[1, 2] == pytest.approx(3)


def test_only_what_has_grown_is_published_and_the_largest_growth_first() -> None:
    counts = counted([(0, 1, 0)] * 8 + [(0, 2, 0)])
    assert len(counts.unpublished(1000).items) == 2
    assert len(counts.unpublished(1000).items) == 0
    counts.count(*columns([(0, 1, 0), (0, 2, 0), (0, 2, 0), (0, 3, 0), (0, 3, 0), (0, 3, 0)]))
    assert counts.unpublished(1).items.tolist() == [3]
    assert counts.unpublished(1).items.tolist() == [2]
    rest = counts.unpublished(1)
    assert rest.items.tolist() == [1]
    counts.not_published(rest)
    assert counts.unpublished(5).items.tolist() == [1]


def test_very_many_half_lives_do_not_overflow() -> None:
    late = 5_000_000  # 5,000 half-lives: as a plain number it would be infinite
    counts = counted([(0, 1, 0), (0, 1, late), (0, 1, late)])
    rise = PartitionCounts(HALF_LIFE).merge(*counts.unpublished(10))
    trends = TrendStore(np.array([0, 4], np.float32), 0, HALF_LIFE)
    trends.add(rise, late)
    assert trends.events(np.array([0, 1], np.int32)).tolist() == [0.0, pytest.approx(2.0)]
    assert np.isfinite(trends.log_share(np.array([0, 1], np.int32))).all()


def test_nothing_to_count_and_nothing_to_merge() -> None:
    counts = counted([])
    none = Counts(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0))
    assert not len(counts.merge(*none).items)
    assert not len(counts.unpublished(10).items)
    assert not len(counts)
