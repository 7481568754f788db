"""The nearest of an item, searched once, and again when vectors or availability change."""

from __future__ import annotations

import numpy as np
from small_release import small_release, unit_rows

from stream_app.catalog import Catalog
from stream_app.retrieval import LiveIndex
from stream_app.retrieval.neighbours import Neighbours


class Counting:
    """Counts the items that are searched for."""

    kind = "exact"

    def __init__(self, index: LiveIndex) -> None:
        self._index = index
        self.asked = 0

    def __len__(self) -> int:
        return len(self._index)

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        self.asked += len(vectors)
        return self._index.search(vectors, k)


def made(items: int = 30, most: int = 4) -> tuple[Catalog, LiveIndex, Counting, Neighbours]:
    bundle = small_release(items)
    live = LiveIndex(bundle.index, bundle.catalog)
    index = Counting(live)
    return bundle.catalog, live, index, Neighbours(bundle.catalog, index, most)


def nearest(catalog: Catalog, item: int, most: int) -> list[int]:
    scores = catalog.vectors @ catalog.vectors[item]
    scores[item] = -np.inf
    if catalog.available is not None:
        scores[~catalog.available[: len(catalog)]] = -np.inf
    return np.argsort(-scores)[:most].tolist()


def test_neighbours_are_the_nearest_without_the_item_itself() -> None:
    catalog, _, index, neighbours = made()
    found = neighbours.of(np.array([[3, 7, 3], [-1, 0, 7]], np.int32))
    assert found.shape == (2, 3, 4)
    for item, near in ((3, found[0, 0]), (7, found[0, 1]), (3, found[0, 2]), (0, found[1, 1])):
        assert near.tolist() == nearest(catalog, item, 4)
    assert found[1, 0].tolist() == [-1] * 4
    assert index.asked == 3
    neighbours.of(np.array([3, 7, 0], np.int32))
    assert index.asked == 3, "each item is searched for once"


def test_a_catalogue_smaller_than_the_list_of_neighbours_is_padded() -> None:
    _, _, _, neighbours = made(items=3)
    assert sorted(neighbours.of(np.array([1], np.int32))[0].tolist()) == [-1, -1, 0, 2]


def test_of_items_with_the_same_vector_none_is_its_own_neighbour() -> None:
    catalog, live, _, neighbours = made(items=8, most=3)
    every = np.arange(8, dtype=np.int32)
    catalog.set_vectors(every, np.tile(catalog.vectors[:1], (8, 1)))
    live.changed(every)
    found = neighbours.of(every)
    assert not (found == every[:, None]).any()
    assert all(len(set(row)) == 3 for row in found.tolist())


def test_changed_vectors_items_that_join_and_delisted_ones_are_seen() -> None:
    catalog, live, _, neighbours = made()
    item = np.array([3], np.int32)
    first = neighbours.of(item)[0].tolist()
    joined = catalog.index_or_add("new")
    assert neighbours.of(np.array([joined], np.int32))[0].tolist() == [-1] * 4, "no vector yet"
    near = unit_rows(catalog.vectors[item] + np.float32(0.01))
    catalog.set_vectors(np.array([joined], np.int32), near)
    live.changed(np.array([joined], np.int32))
    assert neighbours.of(item)[0].tolist() == [joined, *first[:3]]
    open_now = np.ones(len(catalog), np.bool_)
    open_now[first[0]] = False
    catalog.set_available(open_now)
    assert neighbours.of(item)[0].tolist() == nearest(catalog, 3, 4)
