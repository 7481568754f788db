"""The trained encoder as an ONNX graph, the item table outside of it.

An encoder with a state is exported as its step, one event of every user; one without as `encode`,
the last events of every user. The contracts are those of `stream_app.encoders.onnx`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from stream_app.training.models import Encoder, SteppedEncoder, WindowEncoder

OPSET = 20


class Step(nn.Module):
    """`state`, `item`, `features` to `new_state`, `user`."""

    def __init__(self, encoder: SteppedEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, state: Tensor, item: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder.step(state, item, features)


class Encode(nn.Module):
    """`item`, `features`, `lengths` to `user`."""

    def __init__(self, encoder: WindowEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, item: Tensor, features: Tensor, lengths: Tensor) -> Tensor:
        return self.encoder.encode(item, features, lengths)


def export_encoder(encoder: Encoder) -> bytes:
    """Serialise `encoder` as ONNX, batch and length dynamic; weights are inside the bytes."""
    config = encoder.config
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=1)
    if isinstance(encoder, SteppedEncoder):
        return export_module(
            Step(encoder),
            {
                "state": torch.zeros(2, encoder.state_size),
                "item": torch.zeros(2, config.dim),
                "features": torch.zeros(2, config.features),
            },
            ["new_state", "user"],
            {name: {0: batch} for name in ("state", "item", "features")},
        )
    assert isinstance(encoder, WindowEncoder)
    return export_module(
        Encode(encoder),
        {
            "item": torch.zeros(2, 3, config.dim),
            "features": torch.zeros(2, 3, config.features),
            "lengths": torch.tensor([3, 2]),
        },
        ["user"],
        {
            "item": {0: batch, 1: length},
            "features": {0: batch, 1: length},
            "lengths": {0: batch},
        },
    )


def export_module(
    module: nn.Module, example: dict[str, Tensor], outputs: list[str], dynamic: dict[str, Any]
) -> bytes:
    """Serialise `module` as ONNX; `example` are its inputs in order, `dynamic` their free sizes."""
    # The exporter reports its stages on stdout and warns about its own internals.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            tuple(example.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(example),
            output_names=outputs,
            dynamic_shapes=dynamic,
            verbose=False,
        )
    return without_traces(program.model_proto)


def without_traces(model: onnx.ModelProto) -> bytes:
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
