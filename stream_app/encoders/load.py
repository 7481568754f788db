"""The choice of what runs an encoder."""

from __future__ import annotations

from pathlib import Path

from stream_app.encoders.base import SequenceEncoder
from stream_app.encoders.onnx import open_onnx
from stream_app.encoders.spec import EncoderError, EncoderSpec

BACKENDS = ("auto", "onnxruntime")
# Names that configurations may already hold: worth a better answer than "unknown".
PLANNED_BACKENDS = ("tensorrt", "tensorrt_rtx", "torch")


def load_encoder(
    spec: EncoderSpec,
    directory: Path | str,
    backend: str = "auto",
    *,
    threads: int = 1,
    graph: bytes | None = None,
) -> SequenceEncoder:
    """Load the encoder that `spec` describes from `directory`.

    `graph` are the bytes of its graph where these are already read and verified: the file
    could have been changed since. Raises `EncoderError` for a backend that is not available and
    for a graph that breaks the contract or has other sizes than `spec`.
    """
    if backend not in BACKENDS:
        why = "not available in this release" if backend in PLANNED_BACKENDS else "unknown"
        raise EncoderError(f"encoder backend {backend!r} is {why}; use one of {BACKENDS}")
    path = Path(directory) / spec.graph_file
    encoder = open_onnx(spec, path, threads=threads, graph=graph)
    for name in ("dim", "state_size", "features"):
        found, expected = getattr(encoder, name), getattr(spec, name)
        if found != expected:
            raise EncoderError(f"{path}: {name} is {found}, but the manifest says {expected}")
    return encoder
