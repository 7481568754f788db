"""Graphs in fewer bits give about the same; what cannot be converted is refused."""

from __future__ import annotations

import logging
import sys

import numpy as np
import onnxruntime
import pytest
from onnx_step import StepModel, onnx

from stream_app.encoders import EncoderError, EncoderSpec
from stream_app.encoders.onnx import open_onnx
from stream_app.encoders.precision import quantise, to_precision
from stream_app.encoders.trial import TOLERANCES, difference

SPEC = EncoderSpec(kind="recurrent", dim=32, state_size=48, features=5)
GRAPH = StepModel(32, 48, 5).onnx_bytes()


@pytest.mark.parametrize(("precision", "smaller"), [("fp16", 0.8), ("int8", 0.7)])
def test_a_graph_in_fewer_bits_is_smaller_and_near(precision, smaller):
    converted = to_precision(GRAPH, precision)
    onnx.checker.check_model(onnx.load_from_string(converted))
    assert len(converted) < smaller * len(GRAPH)
    assert to_precision(GRAPH, precision) == converted
    encoder, whole = (open_onnx(SPEC, "x", graph=graph) for graph in (converted, GRAPH))
    assert 0 < difference(encoder, whole, SPEC, 33) < TOLERANCES[precision]


def test_only_products_are_in_float16():
    """A decay of 0.9998 is 1.0 in float16: what is not a product stays as it is."""
    model = onnx.load_from_string(to_precision(GRAPH, "fp16"))
    half = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT16
    }
    assert {name.split("_")[0] for name in half} <= {"W", "V", "U"}
    assert len(half) == 3


def test_any_file_is_quantised_beside_itself(tmp_path):
    """A text encoder as well: ids in, a lookup, then a product."""
    helper, rng = onnx.helper, np.random.default_rng(0)
    weights = {"table": rng.random((50, 32), np.float32), "W": rng.random((32, 64), np.float32)}
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"]),
            helper.make_node("MatMul", ["rows", "W"], ["out"]),
        ],
        "text",
        [helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["B", "L"])],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, ["B", "L", 64])],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "text.onnx")
    path = quantise(tmp_path / "text.onnx")
    assert path == tmp_path / "text.int8.onnx"
    ids = {"ids": np.array([[1, 2, 3]])}
    outputs = [
        onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, ids)[0]
        for file in (path, tmp_path / "text.onnx")
    ]
    np.testing.assert_allclose(*outputs, rtol=0.02)
    with pytest.raises(EncoderError, match=r"text.int8.onnx: has float16 or int8 weights already"):
        quantise(path)
    with pytest.raises(EncoderError, match=r"none.onnx: cannot be read: No such file"):
        quantise(tmp_path / "none.onnx")


def test_what_cannot_be_converted_is_refused(monkeypatch):
    with pytest.raises(EncoderError, match="precision 'int4' is unknown; use one of"):
        to_precision(GRAPH, "int4")
    with pytest.raises(EncoderError, match="is no valid ONNX graph"):
        to_precision(b"no graph", "int8")
    model = onnx.load_from_string(GRAPH)
    for node in model.graph.node:
        node.op_type = "Add" if node.op_type == "MatMul" else node.op_type
    with pytest.raises(EncoderError, match="has no matrix product"):
        to_precision(model.SerializeToString(), "int8")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EncoderError, match="pip install onnx"):
        to_precision(GRAPH, "int8")


def test_the_log_of_the_process_is_left_as_it_was(caplog):
    level = logging.getLogger().level
    to_precision(GRAPH, "int8")
    assert logging.getLogger().level == level
    assert not caplog.records
