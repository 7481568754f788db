"""The sequence encoders that can be trained, behind one interface; the item table is not part."""

from stream_app.training.models.base import Encoder
from stream_app.training.models.build import build_encoder
from stream_app.training.models.recurrent import RecurrentEncoder

__all__ = ["Encoder", "RecurrentEncoder", "build_encoder"]
