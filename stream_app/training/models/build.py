"""The choice of an encoder by `ModelConfig.kind`."""

from __future__ import annotations

from stream_app.training.config import ModelConfig, TrainingError
from stream_app.training.models.base import Encoder
from stream_app.training.models.gru import GruEncoder
from stream_app.training.models.recurrent import RecurrentEncoder
from stream_app.training.models.transformer import TransformerEncoder

ENCODERS: dict[str, type[Encoder]] = {
    "recurrent": RecurrentEncoder,
    "gru": GruEncoder,
    "transformer": TransformerEncoder,
}


def build_encoder(config: ModelConfig) -> Encoder:
    """A new encoder of `config.kind`; raises `TrainingError` for a kind that there is not."""
    made = ENCODERS.get(config.kind)
    if made is None:
        raise TrainingError(
            f"there is no encoder of kind {config.kind!r}; use one of {', '.join(ENCODERS)}"
        )
    return made(config)
