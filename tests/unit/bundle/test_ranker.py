"""A bundle with a learned ranker: loaded with it, or refused with a message that says why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sample_bundle import bundle_parts
from small_ranker import linear_graph
from test_bundle import edit_manifest, npy, swap, swap_arrays

from schemas import Click
from stream_app.bundle import BundleError, load_bundle, write_bundle
from stream_app.bundle.ranker import (
    RANKER_FILES,
    Features,
    RankerItems,
    RankerSpec,
    ReleasedRanker,
)
from stream_app.recommender import Recommender
from stream_app.users.features import FEATURES as EVENT_FEATURES

NAMES = ("affinity", "popularity", "freshness", "text similarity")
WEIGHTS = (0.5, 1.0, -0.25, 2.0)


def released(graph: bytes | None = None, weights: Sequence[float] = WEIGHTS) -> ReleasedRanker:
    random = np.random.default_rng(0)
    candidates = random.standard_normal((3, 5, len(NAMES))).astype(np.float32)
    candidates[0, 0] = np.nan
    texts = np.zeros((60, 8), np.float16)
    texts[:, 0] = 1
    return ReleasedRanker(
        RankerSpec(kind="linear", features=NAMES, user_features=()),
        graph or linear_graph(weights),
        RankerItems(np.arange(60), texts),
        candidates,
        np.zeros((3, 0), np.float32),
    )


def written(path: Path, ranker: ReleasedRanker) -> Path:
    write_bundle(path, **bundle_parts(features=EVENT_FEATURES), ranker=ranker)
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return written(tmp_path / "ranked", released())


def test_a_bundle_with_a_ranker_ranks_by_it(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    assert loaded.manifest.ranker == released().spec
    assert set(RANKER_FILES) <= set(loaded.manifest.files)
    assert loaded.ranker is not None
    assert loaded.ranker_items is not None
    np.testing.assert_array_equal(loaded.ranker_items.first_ms, np.arange(60))
    candidates = np.array([[[1, 2, np.nan, 0.5]]], np.float32)
    nothing = np.zeros((1, 1), np.int32)
    features = Features(candidates, np.zeros((1, 0), np.float32), nothing, nothing == 0)
    np.testing.assert_allclose(loaded.ranker.score(features), [[3.5]])
    click = Click(user_id="ann", item_id="item-1", timestamp_ms=2000)
    (made,) = Recommender(loaded).recommend([click])
    assert len(made.items) == 10


def test_a_bundle_without_one_is_as_before(tmp_path: Path) -> None:
    write_bundle(tmp_path / "plain", **bundle_parts())
    loaded = load_bundle(tmp_path / "plain")
    assert loaded.ranker is None
    assert loaded.ranker_items is None
    manifest = json.loads((tmp_path / "plain" / "manifest.json").read_text())
    del manifest["ranker"]  # written before there were any
    (tmp_path / "plain" / "manifest.json").write_text(json.dumps(manifest))
    assert load_bundle(tmp_path / "plain").manifest.ranker is None


def test_a_ranker_that_says_nothing_finite_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="scores are not finite"):
        written(tmp_path / "broken", released(weights=(np.nan, 1, 1, 1)))
    assert not (tmp_path / "broken").exists()


def test_a_ranker_with_other_weights_is_refused(bundle: Path) -> None:
    swap(bundle, "ranker.onnx", linear_graph((9, 9, 9, 9)))
    with pytest.raises(BundleError, match=r"ranker.onnx: scores of the golden pool differ"):
        load_bundle(bundle)


def test_a_ranker_whose_weights_are_not_finite_is_refused(bundle: Path) -> None:
    swap(bundle, "ranker.onnx", linear_graph((np.inf, 1, 1, 1)))
    with pytest.raises(BundleError, match=r"ranker.onnx: scores are not finite"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (b"no graph", "not a graph that ONNX Runtime"),
        (None, r"input 'candidates' is tensor\(float\)\['R', 'C', 3\]; the manifest names 4"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(bundle: Path, graph: bytes | None, said: str) -> None:
    swap(bundle, "ranker.onnx", graph or linear_graph((1, 1, 1)))
    with pytest.raises(BundleError, match=f"ranker.onnx: .*{said}"):
        load_bundle(bundle)


def test_a_graph_with_other_ends_is_refused(bundle: Path) -> None:
    swap(bundle, "ranker.onnx", linear_graph(WEIGHTS, inputs=("candidates", "users")))
    with pytest.raises(BundleError, match="inputs are candidates, users; expected candidates"):
        load_bundle(bundle)
    swap(bundle, "ranker.onnx", linear_graph(WEIGHTS, output="logits"))
    with pytest.raises(BundleError, match="outputs are logits; expected scores"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", RANKER_FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", RANKER_FILES)
def test_a_file_that_is_not_listed_is_named(bundle: Path, name: str) -> None:
    edit_manifest(bundle, lambda manifest: manifest["files"].pop(name))
    with pytest.raises(BundleError, match=f"has a ranker, but lists no {name}"):
        load_bundle(bundle)


def test_files_of_a_ranker_that_the_manifest_does_not_describe_are_refused(bundle: Path) -> None:
    edit_manifest(bundle, lambda manifest: manifest.update({"ranker": None}))
    with pytest.raises(BundleError, match=r"lists ranker\.onnx, but has no ranker"):
        load_bundle(bundle)


def test_a_feature_of_a_newer_release_is_named(bundle: Path) -> None:
    edit_manifest(bundle, lambda one: one["ranker"].update({"features": ["affinity", "mood"]}))
    with pytest.raises(BundleError, match=r"feature 'mood', which this release .* upgrade"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("first_ms", np.arange(59), r"first_ms has shape \[59\], expected \[60\]"),
        ("texts", np.zeros((60, 7), np.float16), r"texts has shape \[60, 7\], expected \[60, 8\]"),
        ("texts", np.full((60, 8), np.nan, np.float16), "texts hold values that are not finite"),
        ("texts", np.zeros((60, 8)), "texts is float64, expected float16"),
    ],
)
def test_what_is_said_of_items_must_fit(
    bundle: Path, name: str, value: np.ndarray, said: str
) -> None:
    swap_arrays(bundle, "ranker_items.npz", lambda arrays: arrays.update({name: value}))
    with pytest.raises(BundleError, match=said):
        load_bundle(bundle)


def test_a_golden_pool_that_is_none_is_refused(bundle: Path) -> None:
    nothing = {
        "candidates": np.zeros((0, 5, 4), np.float32),
        "users": np.zeros((0, 0), np.float32),
        "scores": np.zeros((0, 5), np.float32),
    }
    swap_arrays(bundle, "ranker_golden.npz", lambda arrays: arrays.update(nothing))
    with pytest.raises(BundleError, match="scores of the golden pool differ"):
        load_bundle(bundle)
    swap(bundle, "ranker_golden.npz", npy(np.zeros(3)))
    with pytest.raises(BundleError, match="holds one array, expected several"):
        load_bundle(bundle)
