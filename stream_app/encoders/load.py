"""The choice of what runs an encoder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from stream_app.degradations import Degradation, degraded
from stream_app.encoders.base import SequenceEncoder
from stream_app.encoders.fallback import FallbackEncoder
from stream_app.encoders.onnx import open_onnx
from stream_app.encoders.probe import ON_GPU, why_not
from stream_app.encoders.spec import EncoderError, EncoderSpec

log = logging.getLogger(__name__)

ON_CPU = "onnxruntime"
BACKENDS = ("auto", ON_CPU, *ON_GPU, "torch")
# What `auto` tries, best first; torch is for development and only taken when it is named.
AUTO = (*ON_GPU, ON_CPU)

Accept = Callable[[SequenceEncoder], None]


class UnavailableError(EncoderError):
    """A backend that this machine does not have, or that cannot run a graph of this precision."""


def load_encoder(
    spec: EncoderSpec,
    directory: Path | str,
    backend: str = "auto",
    *,
    threads: int = 1,
    graph: bytes | None = None,
    precision: str = "fp32",
    accept: Accept | None = None,
) -> SequenceEncoder:
    """Load the encoder that `spec` describes from `directory`.

    `graph` are the bytes of its graph, in `precision`, where these are already read and verified:
    the file could have been changed since. `accept` tries the encoder out, and raises `ValueError`
    where it will not do. Under `auto`, what is broken or not accepted is passed over with the
    reason in the log, what is missing (`unavailable` says why) without one, and what breaks while
    it serves is replaced by ONNX Runtime. Raises
    `EncoderError` for a backend that was named and cannot be used, and for a graph that breaks the
    contract or has other sizes than `spec`.
    """
    if backend not in BACKENDS:
        raise EncoderError(f"encoder backend {backend!r} is unknown; use one of {BACKENDS}")
    path = Path(directory) / spec.graph_file
    on_cpu = _on_cpu(spec, path, threads, graph)
    for name in AUTO if backend == "auto" else (backend,):
        last = name in (backend, ON_CPU)
        try:
            encoder = on_cpu
            if name != ON_CPU:
                raw = path.read_bytes() if graph is None else graph
                encoder = _open(name, spec, raw, precision, on_cpu)
            if accept:
                accept(encoder)
        except (EncoderError, ValueError) as error:
            if last:
                raise
            missing = isinstance(error, UnavailableError)
            if not missing:
                degraded(Degradation.BACKEND_REFUSED)
            log.log(logging.DEBUG if missing else logging.WARNING, "%s; not taken", error)
        else:
            return encoder if last else FallbackEncoder(encoder, on_cpu)
    raise AssertionError("the last backend is taken, or its error raised")


def unavailable(name: str, precision: str = "fp32") -> str | None:
    """Why this machine cannot run a graph of `precision` on the backend; None if it may try."""
    if precision == "int8" and name != ON_CPU:
        return "an int8 graph runs on onnxruntime only"
    return why_not(name)


def _on_cpu(spec: EncoderSpec, path: Path, threads: int, graph: bytes | None) -> SequenceEncoder:
    """The encoder on ONNX Runtime, which checks the graph for every other backend as well."""
    encoder = open_onnx(spec, path, threads=threads, graph=graph)
    for name in ("dim", "state_size", "features"):
        found, expected = getattr(encoder, name), getattr(spec, name)
        if found != expected:
            raise EncoderError(f"{path}: {name} is {found}, but the manifest says {expected}")
    return encoder


def _open(
    name: str, spec: EncoderSpec, graph: bytes, precision: str, on_cpu: SequenceEncoder
) -> SequenceEncoder:
    """An encoder on a backend beside ONNX Runtime; whatever it raises becomes an `EncoderError`."""
    if why := unavailable(name, precision):
        raise UnavailableError(f"encoder backend {name!r} cannot be used: {why}")
    try:
        # By name: what serves must not import torch, and a module may be missing.
        if name == "torch":
            module = import_module("stream_app.encoders.torch_backend")
            encoder: SequenceEncoder = module.load_torch(spec, graph)
        else:
            module = import_module("stream_app.encoders.tensorrt.load")
            encoder = module.load_tensorrt(spec, graph, name, on_cpu, precision)
    except EncoderError as error:
        raise EncoderError(f"encoder backend {name!r} failed: {error}") from error
    except Exception as error:  # bindings raise RuntimeError, TypeError and more
        raise EncoderError(
            f"encoder backend {name!r} failed: {type(error).__name__}: {error}"
        ) from error
    return encoder
