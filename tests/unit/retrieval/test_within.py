"""Search among what a mask allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.catalog import Catalog
from stream_app.retrieval import ExactIndex, Within, within


def catalog_of(size: int, seed: int = 0) -> Catalog:
    vectors = np.random.default_rng(seed).standard_normal((size, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[::7] = 0.0
    return Catalog([f"item-{n}" for n in range(size)], vectors)


def mask_of(size: int, seed: int, share: float = 0.5) -> np.ndarray:
    allowed = np.random.default_rng(seed).random(size + 1) < share
    allowed[-1] = False
    return allowed


@given(st.integers(1, 60), st.integers(0, 99), st.integers(1, 20), st.floats(0, 1))
def test_it_finds_the_nearest_of_the_allowed_items(size, seed, k, share) -> None:
    catalog, allowed = catalog_of(size, seed), mask_of(size, seed, share)
    queries = catalog_of(5, seed + 1).vectors
    items, scores = Within(catalog).search(allowed, queries, k)
    kept = np.where(allowed[:size, None], catalog.vectors, np.float32(0))
    expected, theirs = ExactIndex(kept).search(queries, k)
    np.testing.assert_array_equal(items, expected)
    np.testing.assert_array_equal(scores, theirs)


def test_it_follows_the_catalogue() -> None:
    catalog, allowed = catalog_of(20), mask_of(20, 1, 1.0)
    search = Within(catalog).search
    query = catalog.vectors[3:4]
    assert search(allowed, query, 1)[0].tolist() == [[3]]
    available = np.ones(20, np.bool_)
    available[3] = False
    catalog.set_available(available)
    assert search(allowed, query, 1)[0].tolist() != [[3]]
    catalog.set_available(np.ones(20, np.bool_))
    catalog.set_vectors(np.array([5], np.int32), query)
    assert search(allowed, query, 2)[0].tolist() == [[3, 5]]


def test_a_mask_that_leaves_too_much_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = catalog_of(20)
    monkeypatch.setattr(within, "LARGEST", 10)
    assert Within(catalog).search(mask_of(20, 1, 1.0), catalog.vectors[:1], 3) is None


def test_a_mask_that_leaves_out_little_of_a_large_catalogue_is_not_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog = catalog_of(200)
    few, many = mask_of(200, 1, 0.95), mask_of(200, 1, 0.8)
    query = catalog.vectors[:1]
    assert Within(catalog).search(few, query, 3) is not None
    monkeypatch.setattr(within, "SMALL", 100)
    assert Within(catalog).search(few, query, 3) is None
    assert Within(catalog).search(many, query, 3) is not None


def test_what_lies_ready_is_bounded() -> None:
    catalog = catalog_of(20)
    search = Within(catalog)
    for seed in range(20):
        search.search(mask_of(20, seed), catalog.vectors[:1], 3)
    assert len(search._ready) == within.MOST_KEPT
