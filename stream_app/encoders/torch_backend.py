"""The graph of a bundle on torch, for development: to step through it, on any device.

A small interpreter of the operators that our graphs consist of. It runs the file that serves, not
the module that was trained, so it needs neither the training code nor its settings, and it computes
in the file's own precision: a float16 graph in real float16, which ONNX Runtime's CPU provider does
not do. Operators follow the ONNX specification, opset 20; needs the packages onnx and torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor
from torch.nn import functional

from stream_app.encoders.graph import GraphEncoder
from stream_app.encoders.spec import EncoderError, EncoderSpec

Values = list[Any]
Attributes = Mapping[str, Any]


class TorchGraph:
    """An ONNX graph as a function of torch tensors."""

    def __init__(self, graph: bytes, device: str = "cpu") -> None:
        """Read the graph. Raises `EncoderError` for one with an operator that is not known here."""
        model = onnx.load_from_string(graph)
        self.device = torch.device(device)
        self.inputs = [end.name for end in model.graph.input]
        self.outputs = [end.name for end in model.graph.output]
        self._weights = {tensor.name: self._weight(tensor) for tensor in model.graph.initializer}
        self._nodes = [
            (_operator(node), list(node.input), list(node.output), self._attributes(node))
            for node in model.graph.node
        ]

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """The outputs, in the graph's order, for tensors on the graph's device in its order."""
        values: dict[str, Any] = {"": None, **self._weights}
        values.update(zip(self.inputs, inputs, strict=True))
        for operator, taken, given, attributes in self._nodes:
            results = operator([values[name] for name in taken], attributes)
            if not isinstance(results, (tuple, list)):
                results = (results,)
            values.update(zip(given, results, strict=False))  # outputs may be left unused
        return [values[name] for name in self.outputs]

    def _weight(self, proto: onnx.TensorProto) -> Tensor:
        """Integers are shapes and axes: on the CPU, where reading them waits for no device."""
        tensor = torch.from_numpy(np.array(onnx.numpy_helper.to_array(proto)))
        return tensor.to(self.device) if tensor.is_floating_point() else tensor

    def _attributes(self, node: onnx.NodeProto) -> dict[str, Any]:
        found = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        return {**found, "device": self.device}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same for numpy arrays by name."""
        tensors = [torch.from_numpy(inputs[name]).to(self.device) for name in self.inputs]
        results = self(*tensors)
        return {
            name: result.cpu().numpy() for name, result in zip(self.outputs, results, strict=True)
        }


def load_torch(spec: EncoderSpec, graph: bytes, device: str = "cpu") -> GraphEncoder:
    """The encoder of `graph` on torch. Raises `EncoderError`."""
    return GraphEncoder(TorchGraph(graph, device).run, spec, f"torch-{device}")


def _operator(node: onnx.NodeProto) -> Callable[[Values, Attributes], Any]:
    if node.domain or node.op_type not in OPERATORS:
        raise EncoderError(
            f"the torch backend does not know the operator {node.op_type} "
            f"{node.domain and f'of {node.domain} '}(node {node.name or node.output[0]}); "
            "use `onnxruntime`"
        )
    return OPERATORS[node.op_type]


def _ints(value: Tensor) -> list[int]:
    return [int(item) for item in value.tolist()]


def _gemm(given: Values, settings: Attributes) -> Tensor:
    a, b, *rest = given
    a = a.T if settings.get("transA") else a
    b = b.T if settings.get("transB") else b
    product = settings.get("alpha", 1.0) * (a @ b)
    if rest and rest[0] is not None:
        product = product + settings.get("beta", 1.0) * rest[0]
    return product


def _layer_norm(given: Values, settings: Attributes) -> Tensor:
    x, scale, *rest = given
    shape = x.shape[settings.get("axis", -1) :]
    bias = rest[0] if rest else None
    return functional.layer_norm(x, shape, scale, bias, settings.get("epsilon", 1e-5))


def _split(given: Values, settings: Attributes) -> Any:
    axis = settings.get("axis", 0)
    if len(given) > 1 and given[1] is not None:
        return torch.split(given[0], _ints(given[1]), axis)
    parts = settings["num_outputs"]
    return torch.split(given[0], -(-given[0].shape[axis] // parts), axis)


def _reduce(function: Callable[..., Tensor]) -> Callable[[Values, Attributes], Tensor]:
    def apply(given: Values, settings: Attributes) -> Tensor:
        x = given[0]
        axes = _ints(given[1]) if len(given) > 1 and given[1] is not None else list(range(x.dim()))
        return function(x, dim=axes, keepdim=bool(settings.get("keepdims", 1)))

    return apply


def _clip(given: Values, _: Attributes) -> Tensor:
    x, low, high = (*given, None, None)[:3]
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def _shape(given: Values, settings: Attributes) -> Tensor:
    return torch.tensor(given[0].shape[settings.get("start", 0) : settings.get("end")])


def _reshape(given: Values, settings: Attributes) -> Tensor:
    x, wanted = given[0], _ints(given[1])
    if not settings.get("allowzero"):
        wanted = [x.shape[at] if size == 0 else size for at, size in enumerate(wanted)]
    return x.reshape(wanted)


def _expand(given: Values, _: Attributes) -> Tensor:
    x, wanted = given[0], _ints(given[1])
    return x.expand(torch.broadcast_shapes(x.shape, tuple(wanted)))


def _gather(given: Values, settings: Attributes) -> Tensor:
    x, indices = given
    axis = settings.get("axis", 0) % x.dim()
    if not indices.dim():
        return x.select(axis, int(indices))
    flat = torch.where(indices < 0, indices + x.shape[axis], indices).reshape(-1).to(x.device)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return torch.index_select(x, axis, flat).reshape(shape)


def _unsqueeze(given: Values, _: Attributes) -> Tensor:
    x, axes = given
    for axis in sorted(_ints(axes)):
        x = x.unsqueeze(axis)
    return x


def _cast(given: Values, settings: Attributes) -> Tensor:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(settings["to"])
    return given[0].to(torch.from_numpy(np.empty(0, dtype)).dtype)


def _range(given: Values, settings: Attributes) -> Tensor:
    bounds = [item.item() for item in given]
    return torch.arange(*bounds, dtype=given[0].dtype, device=settings["device"])


def _squeeze(given: Values, _: Attributes) -> Tensor:
    axes = tuple(_ints(given[1])) if len(given) > 1 else ()
    return given[0].squeeze(axes) if axes else given[0].squeeze()


def _plain(function: Callable[..., Tensor]) -> Callable[[Values, Attributes], Tensor]:
    return lambda given, _: function(*given)


def _gather_elements(given: Values, settings: Attributes) -> Tensor:
    x, indices = given
    axis = settings.get("axis", 0)
    return torch.gather(x, axis, torch.where(indices < 0, indices + x.shape[axis], indices))


def _div(given: Values, _: Attributes) -> Tensor:
    whole = not given[0].is_floating_point()
    return torch.div(*given, rounding_mode="trunc" if whole else None)


# Those of the graphs that `stream_app.training` exports, each in the tests.
OPERATORS: dict[str, Callable[[Values, Attributes], Any]] = {
    "Abs": _plain(torch.abs),
    "Add": _plain(torch.add),
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda given, settings: torch.cat(given, settings["axis"]),
    "Cos": _plain(torch.cos),
    "Div": _div,
    "Exp": _plain(torch.exp),
    "Expand": _expand,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Gemm": _gemm,
    "Greater": _plain(torch.gt),
    "Identity": lambda given, _: given[0],
    "LayerNormalization": _layer_norm,
    "MatMul": _plain(torch.matmul),
    "Max": _plain(torch.maximum),
    "Mul": _plain(torch.mul),
    "Range": _range,
    "ReduceL2": _reduce(torch.linalg.vector_norm),
    "ReduceSum": _reduce(torch.sum),
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": _plain(torch.sigmoid),
    "Sin": _plain(torch.sin),
    "Softmax": lambda given, settings: torch.softmax(given[0], settings.get("axis", -1)),
    "Split": _split,
    "Sqrt": _plain(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Transpose": lambda given, settings: given[0].permute(settings["perm"]),
    "Unsqueeze": _unsqueeze,
}
