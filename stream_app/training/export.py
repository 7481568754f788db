"""The trained encoder as `step.onnx`: one event of every user, the item table outside the graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings

import onnx
import torch
from torch import Tensor, nn

from stream_app.training.models.base import SteppedEncoder

OPSET = 20


class Step(nn.Module):
    """The graph of the bundle contract: `state`, `item`, `features` to `new_state`, `user`."""

    def __init__(self, encoder: SteppedEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, state: Tensor, item: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder.step(state, item, features)


def export_step(encoder: SteppedEncoder) -> bytes:
    """Serialise the encoder's step as ONNX with a dynamic batch; weights are inside the bytes."""
    config, step = encoder.config, Step(encoder).eval()
    example = (
        torch.zeros(2, config.state_size),
        torch.zeros(2, config.dim),
        torch.zeros(2, config.features),
    )
    batch = torch.export.Dim("batch", min=1)
    # The exporter reports its stages on stdout and warns about its own internals.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            step,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=["state", "item", "features"],
            output_names=["new_state", "user"],
            dynamic_shapes={"state": {0: batch}, "item": {0: batch}, "features": {0: batch}},
            verbose=False,
        )
    return _without_traces(program.model_proto)


def _without_traces(model: onnx.ModelProto) -> bytes:
    """Drop the exporter's stack traces: they hold paths of the machine that exported."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for tensor in graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    serialised: bytes = model.SerializeToString()
    return serialised
