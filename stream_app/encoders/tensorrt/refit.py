"""Other weights for a plan that was built to take them: a swap of releases without a build."""

from __future__ import annotations

import hashlib

from stream_app.encoders.tensorrt.engine import Engine
from stream_app.encoders.tensorrt.library import Library


def structure_of(graph: bytes) -> str | None:
    """SHA-256 of a graph without the values of its weights; None without the package onnx.

    Graphs of one structure differ in weights only. An exporter merges equal initialisers and
    renames folded ones, so two graphs of the same model need not have one structure: their
    operators, connections, attributes, constants and the names and shapes of weights all count.
    """
    try:
        import onnx
    except ModuleNotFoundError:
        return None
    model = onnx.load_from_string(graph)
    for tensor in model.graph.initializer:
        # A constant such as an axis is part of the structure: no engine takes another one.
        if len(tensor.dims) and tensor.data_type in (
            onnx.TensorProto.FLOAT,
            onnx.TensorProto.FLOAT16,
        ):
            for field in ("raw_data", "float_data", "int32_data"):
                tensor.ClearField(field)
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def refit(library: Library, engine: Engine, graph: bytes) -> None:
    """Put the weights of `graph` into an engine that does not serve and has no work queued.

    Raises `TensorrtError` when a weight is missing or refused; the engine may then hold a part of
    the new weights and must not be used. Compare it with a reference in any case.
    """
    trt = library.trt
    library.errors.clear()
    refitter = trt.Refitter(engine.engine, library.logger)
    parser = trt.OnnxParserRefitter(refitter, library.logger)
    if not parser.refit_from_bytes(graph):
        raise library.error("the graph's weights do not fit the engine")
    if missing := refitter.get_missing_weights():
        raise library.error(f"the graph lacks the weights {', '.join(sorted(missing)[:5])}")
    if not refitter.refit_cuda_engine():
        raise library.error("the engine does not take the graph's weights")
