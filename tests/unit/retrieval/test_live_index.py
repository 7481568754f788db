"""The live index finds what an exact search of the present catalogue finds, whatever happened."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.catalog import Catalog
from stream_app.retrieval import ExactIndex, LiveIndex, build_index
from stream_app.retrieval import live as live_module

DIM = 8


def unit(random: np.random.Generator, count: int) -> np.ndarray:
    rows = random.standard_normal((count, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Waiting:
    """Builds when it is told to."""

    def __init__(self) -> None:
        self.work = []

    def __call__(self, work) -> None:
        self.work.append(work)

    def run(self) -> None:
        while self.work:
            self.work.pop(0)()


def made(count: int = 30, kind: str = "exact") -> tuple[Catalog, LiveIndex, Waiting]:
    vectors = unit(np.random.default_rng(0), count)
    catalog = Catalog([str(n) for n in range(count)], vectors, count + 1000)
    waiting = Waiting()
    return catalog, LiveIndex(build_index(catalog.vectors, kind), catalog, start=waiting), waiting


def truth(catalog: Catalog, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    vectors = catalog.vectors.copy()
    if catalog.available is not None:
        vectors[~catalog.available[: len(vectors)]] = 0
    return ExactIndex(vectors).search(queries, k)


def put(catalog: Catalog, index: LiveIndex, items: list[int], vectors: np.ndarray) -> None:
    indices = np.array(items, np.int32)
    catalog.set_vectors(indices, vectors)
    index.changed(indices)


STEPS = st.lists(
    st.tuples(st.sampled_from(["new", "change", "remove", "hide", "show", "build", "swap"]),
              st.integers(0, 2**16)),
    max_size=25,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_any_changes_leave_it_as_exact_as_a_search_of_all(steps) -> None:
    catalog, index, waiting = made()
    index._due = lambda: True  # always glad to build
    for step, number in steps:
        random = np.random.default_rng(number)
        at = number % len(catalog)
        hidden = catalog.available
        open_now = np.ones(len(catalog), bool) if hidden is None else hidden[: len(catalog)].copy()
        if step == "new":
            at = catalog.index_or_add(f"new {number}")
            put(catalog, index, [at], unit(random, 1))
        elif step == "change":
            put(catalog, index, [at], unit(random, 1))
        elif step == "remove":
            put(catalog, index, [at], np.zeros((1, DIM), np.float32))
        elif step in ("hide", "show"):
            open_now[at] = step == "show"
            catalog.set_available(open_now)
        elif step == "build":
            index.refresh()
        else:
            waiting.run()
            index.refresh()
        queries = unit(random, 3)
        found, scores = index.search(queries, 7)
        expected, nearness = truth(catalog, queries, 7)
        assert np.array_equal(found, expected)
        assert np.allclose(scores, nearness, atol=1e-5)


def test_a_vector_that_changes_while_a_snapshot_is_built_is_not_served_old() -> None:
    catalog, index, waiting = made()
    random = np.random.default_rng(1)
    index._due = lambda: True
    index.refresh()
    put(catalog, index, [3], unit(random, 1))
    waiting.run()
    index.refresh()
    found, _ = index.search(catalog.vectors[3:4], 1)
    assert found[0, 0] == 3
    assert index.rebuilds == 1


def test_a_rebuild_that_fails_leaves_the_old_snapshot(monkeypatch, caplog, degraded_by) -> None:
    catalog, index, waiting = made()
    count = live_module.SMALLEST_REBUILD + 1
    new = [catalog.index_or_add(f"n{n}") for n in range(count)]
    put(catalog, index, new, unit(np.random.default_rng(2), count))

    def broken(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(live_module, "build_index", broken)
    index.refresh()
    waiting.run()
    index.refresh()
    assert "was not built anew: MemoryError" in caplog.text
    assert degraded_by() == {"index_rebuild_failed": 1}
    assert waiting.work == [], "not tried again until there is much more to build"
    found, _ = index.search(catalog.vectors[-1:], 1)
    assert found[0, 0] == len(catalog) - 1


def test_what_is_left_out_makes_a_snapshot_due() -> None:
    catalog, index, waiting = made(2000)
    hidden = np.arange(2000) >= 800
    catalog.set_available(hidden)
    index.refresh()
    waiting.run()
    index.refresh()
    assert (index.rebuilds, len(index)) == (1, 1200)
    catalog.set_available(np.ones(2000, bool))
    index.search(catalog.vectors[:1], 1)
    assert index.buffered == 800, "what comes back is searched in the buffer"


def test_a_rebuild_runs_in_another_thread_by_default() -> None:
    catalog = Catalog(["a"], unit(np.random.default_rng(0), 1), 2000)
    index = LiveIndex(build_index(catalog.vectors), catalog)
    new = [catalog.index_or_add(f"n{n}") for n in range(600)]
    put(catalog, index, new, unit(np.random.default_rng(2), 600))
    index.refresh()
    for _ in range(100_000):
        index.refresh()
        if index.rebuilds:
            break
        index.search(catalog.vectors[:1], 5)
    assert index.rebuilds == 1
    assert index.buffered == 0


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_the_probe_compares_with_the_truth(kind) -> None:
    _, index, _ = made(500, kind)
    index.search(unit(np.random.default_rng(4), 10_000), 10)
    assert index.probe.probes == 1
    assert index.probe.recall > 0.5
    if kind == "exact":
        assert index.probe.recall == 1.0


def test_the_probe_sees_an_index_that_misses_items() -> None:
    catalog, index, _ = made(200, "hnsw")
    queries = unit(np.random.default_rng(4), 2)
    found, _ = truth(catalog, queries, 10)
    found[1, 5:] = -1
    index.probe.compare(catalog.vectors, catalog.has_vector, queries, found)
    assert index.probe.recall == 0.5
    index.probe.compare(catalog.vectors, catalog.has_vector, np.zeros_like(queries), found)
    assert index.probe.probes == 1, "a query without an answer says nothing"
