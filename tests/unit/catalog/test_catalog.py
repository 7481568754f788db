"""The catalogue gives every item one lasting position and finds it by identifier and by hash."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.catalog import Catalog
from stream_app.catalog import catalog as catalog_module
from stream_app.catalog.hashtable import HashTable
from stream_app.users.ids import item_hash

keys_and_queries = st.tuples(
    # Few distinct low bits on purpose: collisions are the interesting case.
    st.sets(st.integers(1, 2**64 - 1) | st.integers(1, 8).map(lambda n: n << 40), max_size=300),
    st.lists(st.integers(0, 2**64 - 1), max_size=50),
)


def make(count: int, dim: int = 4, **kwargs: int) -> Catalog:
    vectors = np.arange(count * dim, dtype=np.float32).reshape(count, dim) + 1
    return Catalog([f"item-{n}" for n in range(count)], vectors, **kwargs)


@given(keys_and_queries, st.integers(1, 7))
def test_the_hash_table_answers_like_a_dict(sets: tuple[set[int], list[int]], parts: int) -> None:
    known, others = sets
    expected = {key: value for value, key in enumerate(known)}
    table = HashTable()
    for part in np.array_split(np.array(list(known), np.uint64), parts):
        table.add(part, np.array([expected[int(key)] for key in part], np.int32))
    asked = [*known, *others]
    found = table.get(np.array(asked, np.uint64))
    assert found.tolist() == [expected.get(key, -1) for key in asked]
    assert len(table) == len(known)


def test_the_hash_table_survives_keys_that_all_want_one_slot() -> None:
    keys = (np.arange(1, 400, dtype=np.uint64)) << np.uint64(32)
    table = HashTable()
    table.add(keys, np.arange(399, dtype=np.int32))
    assert table.get(keys).tolist() == list(range(399))
    assert table.get(np.array([0, 1 << 50, 5], np.uint64)).tolist() == [-1, -1, -1]


def test_items_are_found_by_identifier_and_by_hash() -> None:
    catalog = make(1000)
    assert len(catalog) == 1000
    assert catalog.index_of("item-7") == 7
    assert catalog.index_of("nothing") == -1
    hashes = np.array([[item_hash("item-999"), item_hash("nothing"), 0]], np.uint64)
    found = catalog.lookup(hashes)
    assert found.dtype == np.int32
    assert found.tolist() == [[999, -1, -1]]
    assert catalog.hashes.tolist() == [item_hash(item_id) for item_id in catalog.ids]


def test_vectors_of_unknown_items_are_zeros() -> None:
    catalog = make(3)
    gathered = catalog.vectors_of(np.array([[2, -1], [0, 2]], np.int32))
    assert gathered.dtype == np.float32
    assert gathered.shape == (2, 2, 4)
    assert gathered[0, 1].tolist() == [0, 0, 0, 0]
    assert np.array_equal(gathered[1], catalog.vectors[[0, 2]])


def test_a_new_item_gets_the_next_position_and_no_vector() -> None:
    catalog = make(3)
    before = catalog.vectors.copy()
    assert [catalog.index_or_add(f"new-{n}") for n in range(2000)] == list(range(3, 2003))
    assert catalog.index_or_add("new-5") == 8
    assert len(catalog) == 2003
    assert np.array_equal(catalog.vectors[:3], before)
    assert not catalog.vectors[3:].any()
    assert not catalog.vectors_of(np.array([-1])).any()
    assert np.array_equal(catalog.lookup(catalog.hashes), np.arange(2003))


def test_an_empty_catalogue_fills_from_the_stream() -> None:
    catalog = Catalog([], np.zeros((0, 8), np.float32))
    assert catalog.lookup(np.array([5], np.uint64)).tolist() == [-1]
    assert catalog.index_or_add("first") == 0
    assert catalog.vectors.shape == (1, 8)


def test_a_full_catalogue_takes_no_new_item() -> None:
    catalog = make(3, max_items=4)
    assert catalog.index_or_add("new-1") == 3
    assert catalog.index_or_add("new-2") == -1
    assert catalog.index_or_add("new-1") == 3
    assert len(catalog) == 4


def test_a_new_item_with_the_hash_of_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = make(3)
    monkeypatch.setattr(catalog_module, "item_hash", lambda _: item_hash("item-1"))
    assert catalog.index_or_add("another") == -1
    assert len(catalog) == 3


@pytest.mark.parametrize(
    ("ids", "rows", "kwargs", "message"),
    [
        (["a", "b"], 3, {}, r"2 items need vectors \[2, d\], got \[3, 4\]"),
        (["a", "b", "a"], 3, {}, "item 'a' is in the catalogue twice"),
        (["a", "b"], 2, {"max_items": 1}, "2 items are more than max_items=1"),
    ],
)
def test_a_wrong_catalogue_says_what_is_wrong(
    ids: list[str], rows: int, kwargs: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Catalog(ids, np.zeros((rows, 4), np.float32), **kwargs)


@pytest.mark.parametrize(("value", "message"), [(7, "the same 64-bit hash"), (0, "reserved")])
def test_items_that_share_a_hash_are_named(
    monkeypatch: pytest.MonkeyPatch, value: int, message: str
) -> None:
    ids = ["a", "b"] if value else ["a"]
    monkeypatch.setattr(catalog_module, "item_hash", lambda _: value)
    with pytest.raises(ValueError, match=message):
        Catalog(ids, np.zeros((len(ids), 4), np.float32))
