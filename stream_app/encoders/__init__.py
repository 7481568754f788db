"""Sequence encoders: from a user's events to a user vector."""

from stream_app.encoders.base import History, SequenceEncoder, SteppedEncoder
from stream_app.encoders.load import load_encoder
from stream_app.encoders.onnx import OnnxEncoder
from stream_app.encoders.spec import EncoderError, EncoderSpec

__all__ = [
    "EncoderError",
    "EncoderSpec",
    "History",
    "OnnxEncoder",
    "SequenceEncoder",
    "SteppedEncoder",
    "load_encoder",
]
