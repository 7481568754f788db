"""A ranker of known weights, in numpy for pipelines and as a graph for bundles."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from stream_app.bundle import Bundle
from stream_app.bundle.ranker import FEATURES, USER_FEATURES, Features, RankerItems, RankerSpec
from stream_app.encoders.base import Floats
from stream_app.ranking.live.first_seen import NEVER

WEIGHTS = (0.7, 1.1, 0.2, 0.3, 0.5, -0.4, 0.6, -0.1, -0.2)
"""Of all features, in the order of `FEATURES`."""


class NumpyRanker:
    """A weighted sum of features, of which unknown ones count nothing; times the user's first."""

    def __init__(
        self,
        features: Sequence[str] = FEATURES,
        weights: Sequence[float] = WEIGHTS,
        user_features: Sequence[str] = (),
    ) -> None:
        self.spec = RankerSpec(
            kind="linear", features=tuple(features), user_features=tuple(user_features)
        )
        self.weights = np.array(weights, np.float32)
        self.seen: list[Features] = []

    def score(self, features: Features) -> Floats:
        self.seen.append(features)
        scores: Floats = np.nan_to_num(features.candidates).clip(-50, 50) @ self.weights
        return scores


def with_ranker(bundle: Bundle, ranker: NumpyRanker | None = None, seed: int = 0) -> Bundle:
    """The release with a ranker, random texts and first days of its items."""
    random = np.random.default_rng(seed)
    count, dim = bundle.catalog.vectors.shape
    texts = random.standard_normal((count, dim))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    texts[::7] = 0
    first_ms = random.integers(0, 1000, count) * 86_400_000
    first_ms[::5] = NEVER
    return dataclasses.replace(
        bundle,
        ranker=ranker or NumpyRanker(user_features=USER_FEATURES),
        ranker_items=RankerItems(first_ms, texts.astype(np.float16)),
    )


def linear_graph(
    weights: Sequence[float], *, inputs: Sequence[str] = ("candidates",), output: str = "scores"
) -> bytes:
    """`ranker.onnx` of a weighted sum in which unknown features count nothing."""
    onnx = pytest.importorskip("onnx", reason="needs the package onnx (extra `train`)")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    arrays = {"weights": np.array(weights, np.float32), "zero": np.zeros((), np.float32)}
    nodes = [
        helper.make_node("IsNaN", [inputs[0]], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", inputs[0]], ["known"]),
        helper.make_node("MatMul", ["known", "weights"], [output]),
    ]
    ends = [helper.make_tensor_value_info(inputs[0], kind, ["R", "C", len(weights)])]
    ends += [helper.make_tensor_value_info(name, kind, ["R", "U"]) for name in inputs[1:]]
    graph = helper.make_graph(
        nodes,
        "ranker",
        ends,
        [helper.make_tensor_value_info(output, kind, ["R", "C"])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    raw: bytes = model.SerializeToString()
    return raw
