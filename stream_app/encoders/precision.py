"""Graphs in fewer bits: float16 for a GPU, int8 for ONNX Runtime on a CPU.

`to_precision(graph, "fp16")` keeps everything but the matrix products in float32. The gates of a
recurrence must stay there: a decay of 0.9998 is 1.0 in float16, and `1 - a^2` of it nothing. The
products are where the weights are, and the time.

`to_precision(graph, "int8")` is ONNX Runtime's dynamic quantisation: weights in int8, one scale for
each channel, activations in uint8 as they come. Only ONNX Runtime runs such a graph; TensorRT has
no kernel for it.

Works on any ONNX file, a text encoder as well. Needs the package onnx, which a worker does not. The
float16 converter is the one that ONNX Runtime carries: kept with the runtime that must read its
output, where `onnxconverter-common` is another package with the same origin.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from stream_app.encoders.spec import EncoderError

Precision = Literal["fp16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
NEEDS_ONNX = "compiling needs the package onnx, which a worker does not: pip install onnx"
PRODUCTS = ("Gemm", "MatMul")


def to_precision(graph: bytes, precision: str) -> bytes:
    """An ONNX graph with the same ends (float32) and fewer bits inside.

    Raises `EncoderError` for an unknown precision, a graph that cannot be read, one that has fewer
    bits already, or one without products to convert.
    """
    if precision not in PRECISIONS:
        raise EncoderError(f"precision {precision!r} is unknown; use one of {PRECISIONS}")
    model = _read(graph)
    return _to_float16(model) if precision == "fp16" else _to_int8(model)


def quantise(path: Path | str, precision: str = "int8") -> Path:
    """Write `x.int8.onnx` (or `x.fp16.onnx`) beside `x.onnx` and return its path."""
    source = Path(path)
    try:
        raw = source.read_bytes()
    except OSError as error:
        raise EncoderError(f"{source}: cannot be read: {error.strerror}") from error
    try:
        converted = to_precision(raw, precision)
    except EncoderError as error:
        raise EncoderError(f"{source}: {error}") from error
    target = source.with_name(variant_file(source.name, precision))
    target.write_bytes(converted)
    return target


def variant_file(name: str, precision: str) -> str:
    """`step.int8.onnx` for `step.onnx`."""
    return f"{Path(name).stem}.{precision}.onnx"


def _read(graph: bytes) -> Any:
    try:
        import onnx
    except ModuleNotFoundError:
        raise EncoderError(NEEDS_ONNX) from None
    try:
        model = onnx.load_from_string(graph)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and the checker raise what they like
        raise EncoderError(f"is no valid ONNX graph: {error}") from error
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    if kinds & {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8, onnx.TensorProto.UINT8}:
        raise EncoderError("has float16 or int8 weights already; give the float32 graph")
    if not any(node.op_type in PRODUCTS for node in model.graph.node):
        raise EncoderError("has no matrix product, so fewer bits would gain nothing")
    return model


def _to_float16(model: Any) -> bytes:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    others = sorted({node.op_type for node in model.graph.node} - set(PRODUCTS))
    converted = convert_float_to_float16(model, keep_io_types=True, op_block_list=others)
    nodes = _in_order(converted.graph.node)  # the converter puts its casts at the end
    del converted.graph.node[:]
    converted.graph.node.extend(nodes)
    raw: bytes = converted.SerializeToString()
    return raw


def _to_int8(model: Any) -> bytes:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It takes and gives files only, and advises on the root logger to change the graph first.
    root, before = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch, "int8.onnx")
            quantize_dynamic(
                model,
                target,
                op_types_to_quantize=list(PRODUCTS),
                per_channel=True,
                weight_type=QuantType.QInt8,
            )
            return target.read_bytes()
    finally:
        root.setLevel(before)


def _in_order(nodes: Sequence[Any]) -> list[Any]:
    """The nodes of a graph, each after those whose outputs it takes; else in the order given."""
    made_by = {name: place for place, node in enumerate(nodes) for name in node.output}
    ordered: list[Any] = []
    done: set[int] = set()
    for start in range(len(nodes)):
        waiting = [start]
        while waiting:
            place = waiting[-1]
            before = [made_by[name] for name in nodes[place].input if name in made_by]
            missing = [other for other in before if other not in done]
            if missing and place not in done:
                waiting.extend(missing)
                continue
            waiting.pop()
            if place not in done:
                done.add(place)
                ordered.append(nodes[place])
    return ordered
