"""Metrics on tiny cases worked out by hand, and against ranx on many random ones."""

import json
import os
import subprocess
import sys
from math import log2
from pathlib import Path

import numpy as np
import pytest
from event_tables import table_of

from stream_app.evaluation.metrics import (
    accuracy,
    coverage,
    diversity,
    novelty,
    places_of,
    self_information,
)
from stream_app.evaluation.protocols import Cases, leave_one_out

RANX = """
import json, sys
from ranx import Qrels, Run, evaluate
asked = json.load(open(sys.argv[1]))
metrics = [f"{name}@{k}" for name in ("hit_rate", "ndcg", "mrr", "recall") for k in asked["ks"]]
run, qrels = Run(asked["run"]), Qrels(asked["qrels"])
evaluate(qrels, run, metrics, make_comparable=True)
print(json.dumps({name: dict(values) for name, values in run.scores.items()}))
"""
NAMES = {"hit_rate": "hr", "ndcg": "ndcg", "mrr": "mrr", "recall": "recall"}


def cases_of(*targets: list[int]) -> Cases:
    """Questions that want these items, of whoever."""
    histories = leave_one_out(table_of("u a", "u b", "u c")).test.histories
    offsets = np.cumsum([0, *map(len, targets)])
    part = histories.part(np.zeros(len(targets), np.int64))
    return Cases(part, np.array([item for one in targets for item in one], np.int64), offsets)


def test_one_wanted_item() -> None:
    lists = np.array([[7, 8, 9], [7, 8, 9], [7, -1, -1]], np.int32)
    cases = cases_of([9], [5], [7])
    found = accuracy(places_of(lists, cases), cases.offsets, 3)
    assert found["hr"].tolist() == [1, 0, 1]
    assert found["ndcg"].tolist() == [0.5, 0, 1]
    assert found["mrr"].tolist() == pytest.approx([1 / 3, 0, 1])
    assert found["recall"].tolist() == [1, 0, 1]
    assert accuracy(places_of(lists, cases), cases.offsets, 2)["hr"].tolist() == [0, 0, 1]


def test_several_wanted_items() -> None:
    lists = np.array([[1, 2, 3, 4]], np.int32)
    cases = cases_of([4, 2, 9])
    found = accuracy(places_of(lists, cases), cases.offsets, 4)
    best = 1 + 1 / log2(3) + 1 / log2(4)
    assert found["ndcg"][0] == pytest.approx((1 / log2(3) + 1 / log2(5)) / best)
    assert found["mrr"][0] == pytest.approx(1 / 2)
    assert found["recall"][0] == pytest.approx(2 / 3)
    at_one = accuracy(places_of(np.array([[2]], np.int32), cases), cases.offsets, 1)
    assert (at_one["ndcg"][0], at_one["recall"][0]) == (1, pytest.approx(1 / 3))


def test_accuracy_is_that_of_ranx(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    lists = np.stack([random.permutation(30)[:12] for _ in range(40)]).astype(np.int32)
    wanted = [random.permutation(30)[: random.integers(1, 8)].tolist() for _ in range(40)]
    cases, ks = cases_of(*wanted), [1, 5, 12]
    asked = {
        "ks": ks,
        "run": {f"q{q:02}": {f"i{item}": 20.0 - at for at, item in enumerate(row.tolist())}
                for q, row in enumerate(lists)},
        "qrels": {f"q{q:02}": {f"i{item}": 1 for item in one} for q, one in enumerate(wanted)},
    }  # fmt: skip
    file = tmp_path / "asked.json"
    file.write_text(json.dumps(asked))
    # Compiling ranx takes a minute, interpreting it a moment; that is chosen before it is imported.
    answer = subprocess.run(
        [sys.executable, "-c", RANX, str(file)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        check=True,
        text=True,
    )
    theirs = json.loads(answer.stdout)
    for k in ks:
        ours = accuracy(places_of(lists, cases), cases.offsets, k)
        for name, mine in NAMES.items():
            expected = [theirs[f"{name}@{k}"][f"q{q:02}"] for q in range(40)]
            assert ours[mine] == pytest.approx(expected, abs=1e-12), (name, k)


def test_novelty_is_the_mean_self_information() -> None:
    users = np.array([0, 1, 2, 3, 0, 0, 0], np.int32)
    items = np.array([0, 0, 0, 0, 1, 1, 1], np.int32)  # four users have 0, one has 1, none has 2
    information = self_information(users, items, 3)
    assert information.tolist() == [0, 2, 2]
    found = novelty(np.array([[0, 1], [1, -1], [-1, -1]], np.int32), information)
    assert found[:2].tolist() == [1, 2]
    assert np.isnan(found[2])


def test_diversity_is_the_mean_distance_of_all_pairs() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(6, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lists = np.array([[0, 1, 2], [3, 4, -1], [5, -1, -1]], np.int32)
    found = diversity(lists, vectors)
    pairs = [1 - vectors[a] @ vectors[b] for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found[0] == pytest.approx(np.mean(pairs), abs=1e-6)
    assert found[1] == pytest.approx(1 - vectors[3] @ vectors[4], abs=1e-6)
    assert np.isnan(found[2])


def test_coverage_counts_what_any_list_shows() -> None:
    assert coverage(np.array([[0, 1], [1, -1]], np.int32), 4) == 0.5
