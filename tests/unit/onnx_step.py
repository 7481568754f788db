"""A small step graph for tests: a linear gated recurrence, with its numpy reference.

`new_state = 0.9 * state + item W + features V` and `user = normalise(new_state U)`.
"""

from __future__ import annotations

import numpy as np
import pytest

from stream_app.encoders import History

onnx = pytest.importorskip("onnx", reason="needs the package onnx (extra `train`) to make a graph")

DECAY = 0.9
SMALLEST_NORM = 1e-6


class StepModel:
    """Random weights of the recurrence, its ONNX bytes and the same step in numpy."""

    def __init__(self, dim: int = 8, state_size: int = 12, features: int = 5, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.dim, self.state_size, self.features = dim, state_size, features
        self.item_weights = rng.standard_normal((dim, state_size)).astype(np.float32)
        self.feature_weights = rng.standard_normal((features, state_size)).astype(np.float32)
        self.user_weights = rng.standard_normal((state_size, dim)).astype(np.float32)

    def step(self, states, items, features):
        """The step in numpy: what the graph must give."""
        new = DECAY * states + items @ self.item_weights + features @ self.feature_weights
        users = new @ self.user_weights
        norms = np.linalg.norm(users, axis=1, keepdims=True)
        return new.astype(np.float32), (users / np.maximum(norms, SMALLEST_NORM)).astype(np.float32)

    def onnx_bytes(
        self, *, rename=None, batch="B", element=None, state_out=None, flat_user=False
    ) -> bytes:
        """The graph as a file; the arguments break the contract one way each."""
        helper, kind = onnx.helper, onnx.TensorProto
        element = element or kind.FLOAT
        dtype = helper.tensor_dtype_to_np_dtype(element)
        rename = rename or {}

        def named(name):
            return rename.get(name, name)

        def end(name, *shape):
            return helper.make_tensor_value_info(named(name), element, shape)

        weights = {
            "decay": np.array(DECAY),
            "W": self.item_weights,
            "V": self.feature_weights,
            "U": self.user_weights,
            "axis": np.array([1], np.int64),
            "smallest": np.array(SMALLEST_NORM),
            "columns": np.arange(state_out or self.state_size),
        }
        integers = ("axis", "columns")
        nodes = [
            helper.make_node("Mul", [named("state"), "decay"], ["decayed"]),
            helper.make_node("MatMul", [named("item"), "W"], ["from_item"]),
            helper.make_node("MatMul", [named("features"), "V"], ["from_features"]),
            helper.make_node("Add", ["decayed", "from_item"], ["partial"]),
            helper.make_node("Add", ["partial", "from_features"], ["whole"]),
            helper.make_node("Gather", ["whole", "columns"], [named("new_state")], axis=1),
            helper.make_node("MatMul", ["whole", "U"], ["raw"]),
            helper.make_node("ReduceL2", ["raw", "axis"], ["norm"], keepdims=1),
            helper.make_node("Max", ["norm", "smallest"], ["length"]),
            helper.make_node("Div", ["raw", "length"], ["unit"]),
            helper.make_node("ReduceSum", ["unit", "axis"], [named("user")], keepdims=0)
            if flat_user
            else helper.make_node("Identity", ["unit"], [named("user")]),
        ]
        graph = helper.make_graph(
            nodes,
            "step",
            [
                end("state", batch, self.state_size),
                end("item", batch, self.dim),
                end("features", batch, self.features),
            ],
            [
                end("new_state", batch, "S"),
                end("user", *([batch] if flat_user else [batch, "d"])),
            ],
            [
                onnx.numpy_helper.from_array(a if n in integers else a.astype(dtype), n)
                for n, a in weights.items()
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        return model.SerializeToString()

    def histories(self, lengths, seed: int = 1) -> list[History]:
        """Random histories of the given lengths."""
        rng = np.random.default_rng(seed)
        return [
            History(
                unit_rows(rng.standard_normal((length, self.dim))),
                rng.random((length, self.features), np.float32),
            )
            for length in lengths
        ]


def unit_rows(rows) -> np.ndarray:
    """Rows scaled to unit length, float32."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
