"""One suite that every item index passes, and what is special to each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.retrieval import ExactIndex, HnswIndex, build, build_index, recall

KINDS = {"exact": ExactIndex, "hnsw": HnswIndex}
RECALL = {"exact": 1.0, "hnsw": 0.98}

every_index = pytest.mark.parametrize("kind", KINDS)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clustered(count, dim=32, clusters=40, seed=0):
    """Unit vectors around cluster centres, as trained item vectors are, and queries like them."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dim))
    of = rng.integers(clusters, size=count)
    return unit(centres[of] + 0.6 * rng.standard_normal((count, dim)))


def reference(vectors, queries, k):
    """Top k by sorting everything: score first, then the lower position."""
    scores = queries @ vectors.T
    scores[:, ~vectors.any(axis=1)] = -np.inf
    positions = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return positions, np.take_along_axis(scores, positions, 1)


@every_index
@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("batch", [1, 65])
def test_finds_the_nearest_items(kind, k, batch):
    vectors, queries = clustered(3000), clustered(batch, seed=1)
    index = KINDS[kind](vectors)
    positions, scores = index.search(queries, k)
    assert (positions.dtype, scores.dtype) == (np.int32, np.float32)
    assert positions.shape == scores.shape == (batch, k)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == k for row in positions.tolist())
    true = np.einsum("bd,bkd->bk", queries, vectors[positions])
    np.testing.assert_allclose(scores, true, atol=1e-5)
    assert recall(index, vectors, queries, k) >= RECALL[kind]


@every_index
def test_more_than_there_are_is_nothing_with_the_lowest_score(kind):
    vectors = clustered(5)
    positions, scores = KINDS[kind](vectors).search(clustered(3, seed=1), 8)
    assert [sorted(row) for row in positions[:, :5].tolist()] == [[0, 1, 2, 3, 4]] * 3
    assert (positions[:, 5:] == -1).all()
    assert (scores[:, 5:] == -np.inf).all()
    assert np.isfinite(scores[:, :5]).all()


@every_index
@pytest.mark.parametrize("count", [0, 7])
def test_an_index_without_vectors_finds_nothing(kind, count):
    index = KINDS[kind](np.zeros((count, 32), np.float32))
    positions, scores = index.search(clustered(2), 3)
    assert len(index) == 0
    assert positions.tolist() == [[-1] * 3] * 2
    assert (scores == -np.inf).all()


@every_index
def test_no_query_and_no_place_give_empty_arrays(kind):
    index = KINDS[kind](clustered(10))
    assert index.search(np.zeros((0, 32), np.float32), 3)[0].shape == (0, 3)
    assert index.search(clustered(2), 0)[0].shape == (2, 0)


@every_index
def test_items_without_a_vector_are_left_out_and_positions_stay(kind):
    vectors = clustered(300)
    vectors[::3] = 0
    index = KINDS[kind](vectors)
    positions, _ = index.search(vectors[1:2], 250)
    assert len(index) == 200
    assert positions[0, 0] == 1
    assert set(positions[0, :200]) == set(np.flatnonzero(vectors.any(axis=1)))
    assert (positions[0, 200:] == -1).all()


@every_index
def test_equal_scores_come_by_position(kind):
    vectors = np.repeat(clustered(50), 4, axis=0)  # every vector four times
    positions, _ = KINDS[kind](vectors).search(vectors[[8]], 8)
    assert positions[0, :4].tolist() == [8, 9, 10, 11]
    assert positions[0, 4:].tolist() == sorted(positions[0, 4:])


@every_index
@pytest.mark.parametrize("bad", [0.0, np.nan])
def test_a_query_without_direction_finds_nothing_and_harms_no_other(kind, bad):
    vectors = clustered(500)
    queries = vectors[[3, 4, 5]].copy()
    queries[1] = bad
    positions, scores = KINDS[kind](vectors).search(queries, 5)
    assert positions[:, 0].tolist() == [3, -1, 5]
    assert (scores[1] == -np.inf).all()


@every_index
@pytest.mark.parametrize(("row", "length"), [(2.0, "2"), (np.nan, "nan"), (0.99, "0.99")])
def test_vectors_that_are_not_of_unit_length_are_refused(kind, row, length):
    vectors = clustered(10)
    vectors[4] *= row
    with pytest.raises(ValueError, match=rf"item vector 4 has length {length} \(1 such rows\)"):
        KINDS[kind](vectors)


@every_index
def test_vectors_rounded_to_float16_are_of_unit_length(kind):
    vectors = clustered(200).astype(np.float16).astype(np.float32)
    assert len(KINDS[kind](vectors)) == 200


@every_index
def test_two_builds_answer_alike(kind):
    vectors, queries = clustered(2000), clustered(50, seed=1)
    one, other = (KINDS[kind](vectors).search(queries, 20) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 700), st.integers(1, 80), st.integers(1, 130), st.integers(0, 2**32 - 1))
def test_the_exact_index_equals_sorting_everything(count, batch, k, seed):
    rng = np.random.default_rng(seed)
    # Coordinates of few values make many equal scores, and none that float rounding decides.
    vectors = np.zeros((count, 16), np.float32)
    vectors[np.arange(count), rng.integers(16, size=count)] = rng.choice([-1, 1], count)
    vectors[rng.random(count) < 0.1] = 0
    queries = rng.integers(-3, 4, (batch, 16)).astype(np.float32)
    queries[:, 0] = 1  # no query of zeros
    positions, scores = ExactIndex(vectors).search(queries, k)
    expected, expected_scores = reference(vectors, queries, k)
    found = expected.shape[1]
    expected = np.where(expected_scores == -np.inf, -1, expected)
    assert np.array_equal(positions[:, :found], expected)
    assert np.array_equal(scores[:, :found], expected_scores)
    assert (positions[:, found:] == -1).all()


def test_hnsw_falls_back_to_exact_where_its_graph_is_cut():
    vectors = np.repeat(clustered(2, clusters=2), 3000, axis=0)
    with_duplicates = HnswIndex(vectors)
    positions, _ = with_duplicates.search(vectors[[0]], 4000)
    assert sorted(positions[0]) == sorted(ExactIndex(vectors).search(vectors[[0]], 4000)[0][0])


@pytest.mark.parametrize(("count", "kind"), [(100, "exact"), (101, "hnsw")])
def test_auto_chooses_by_catalogue_size(monkeypatch, count, kind):
    monkeypatch.setattr(build, "LARGEST_EXACT", 100)
    assert build_index(clustered(count)).kind == kind
    assert build_index(clustered(count), "hnsw").kind == "hnsw"


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="index 'ivf' is unknown; use one of auto, exact, hnsw"):
        build_index(clustered(3), "ivf")
