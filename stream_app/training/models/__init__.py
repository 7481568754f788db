"""The sequence encoders that can be trained, behind one interface; the item table is not part."""

from stream_app.training.models.base import Encoder, SteppedEncoder, WindowEncoder
from stream_app.training.models.build import ENCODERS, build_encoder
from stream_app.training.models.gru import GruEncoder
from stream_app.training.models.recurrent import RecurrentEncoder
from stream_app.training.models.transformer import TransformerEncoder

__all__ = [
    "ENCODERS",
    "Encoder",
    "GruEncoder",
    "RecurrentEncoder",
    "SteppedEncoder",
    "TransformerEncoder",
    "WindowEncoder",
    "build_encoder",
]
