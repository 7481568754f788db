"""The torch backend runs every graph that training exports as ONNX Runtime does."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import KINDS, graph_of, torch
from onnx_step import StepModel, onnx

from stream_app.encoders import EncoderError, EncoderSpec, load_encoder
from stream_app.encoders.onnx import open_onnx
from stream_app.encoders.precision import to_precision
from stream_app.encoders.torch_backend import OPERATORS, TorchGraph, load_torch
from stream_app.encoders.trial import TOLERANCES, difference, random_histories

DTYPES = {"lengths": torch.int64}
SPEC = EncoderSpec(kind="recurrent", dim=8, state_size=12, features=5)


@pytest.mark.parametrize("batch", [1, 3, 33])
@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_what_onnx_runtime_gives(kind, batch):
    spec, graph = graph_of(kind)
    on_torch, on_cpu = load_torch(spec, graph), open_onnx(spec, "x", graph=graph)
    assert difference(on_torch, on_cpu, spec, batch) < 1e-5
    half = to_precision(graph, "fp16")
    assert difference(load_torch(spec, half), on_cpu, spec, batch) < TOLERANCES["fp16"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_value_is_read_back_from_the_device(kind):
    """So that a CUDA graph can record it. Tensors on `meta` have no values that could be read."""
    spec, graph = graph_of(kind)
    for precision in (graph, to_precision(graph, "fp16")):
        on_meta = TorchGraph(precision, "meta")
        shapes = {"state": (3, spec.state_size), "item": (3, spec.dim), "features": (3, 10)}
        if spec.window:
            shapes = {"item": (3, 5, spec.dim), "features": (3, 5, 10), "lengths": (3,)}
        inputs = [
            torch.empty(*shapes[name], device="meta", dtype=DTYPES.get(name, torch.float32))
            for name in on_meta.inputs
        ]
        assert on_meta(*inputs)[-1].shape == (3, spec.dim)


def test_no_history_and_nobody_give_zeros_and_nothing():
    spec, graph = graph_of("transformer")
    encoder = load_torch(spec, graph)
    histories = random_histories(spec, 2)
    empty = histories[0]._replace(
        item_vectors=histories[0].item_vectors[:0], features=histories[0].features[:0]
    )
    states, users = encoder.encode([empty, *histories])
    assert states.shape == (3, 0)
    assert not users[0].any()
    np.testing.assert_allclose(np.linalg.norm(users[1:], axis=1), 1, atol=1e-5)
    assert encoder.encode([])[1].shape == (0, spec.dim)
    with pytest.raises(EncoderError, match="without a state has no step"):
        encoder.step(np.zeros((1, 0)), np.zeros((1, 16)), np.zeros((1, 10)))
    stepped = load_torch(SPEC, StepModel().onnx_bytes())
    assert stepped.step(np.zeros((0, 12)), np.zeros((0, 8)), np.zeros((0, 5)))[1].shape == (0, 8)


def test_an_operator_that_is_not_known_is_named():
    model = onnx.load_from_string(StepModel().onnx_bytes())
    model.graph.node[0].op_type = "Det"
    with pytest.raises(EncoderError, match=r"does not know the operator Det \(node decayed\)"):
        TorchGraph(model.SerializeToString())
    model.graph.node[0].op_type, model.graph.node[0].domain = "Mul", "com.example"
    with pytest.raises(EncoderError, match=r"operator Mul of com\.example"):
        TorchGraph(model.SerializeToString())


def test_every_operator_is_in_a_graph_that_is_tested():
    graphs = [graph_of(kind)[1] for kind in KINDS]
    graphs += [StepModel().onnx_bytes(), StepModel().onnx_bytes(flat_user=True)]
    models = [onnx.load_from_string(graph) for graph in graphs]
    assert {node.op_type for model in models for node in model.graph.node} == set(OPERATORS)


def test_torch_is_taken_by_name(tmp_path):
    (tmp_path / "step.onnx").write_bytes(StepModel().onnx_bytes())
    assert load_encoder(SPEC, tmp_path, "torch").backend == "torch-cpu"
    assert load_encoder(SPEC, tmp_path, "auto").backend == "onnxruntime-cpu"
