"""Text of items and profiles as vectors: a sentence encoder on ONNX Runtime, and its projection.

No torch and no transformers: `stream_app.training.text_export` makes what is used here.
"""

from stream_app.text.encoder import TextEncoder
from stream_app.text.files import TextEncoderFiles, TextError, TextMeta, read_encoder
from stream_app.text.projection import Projection, fit_whitening

__all__ = [
    "Projection",
    "TextEncoder",
    "TextEncoderFiles",
    "TextError",
    "TextMeta",
    "fit_whitening",
    "read_encoder",
]
