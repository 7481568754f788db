"""Small untrained graphs of every kind of encoder, as training exports them."""

from __future__ import annotations

from functools import cache

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install stream-app[train]")

from stream_app.encoders import EncoderSpec  # noqa: E402
from stream_app.training.config import ModelConfig  # noqa: E402
from stream_app.training.export import export_encoder  # noqa: E402
from stream_app.training.models import build_encoder  # noqa: E402

KINDS = ("recurrent", "gru", "transformer")
WINDOW = 12


@cache
def graph_of(kind: str, seed: int = 0) -> tuple[EncoderSpec, bytes]:
    """What the manifest says of an encoder, and its graph."""
    config = ModelConfig(
        kind=kind, dim=16, width=24, blocks=1, heads=2, context=WINDOW, gaps="both"
    )
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    encoder = build_encoder(config)
    with torch.no_grad():
        for weights in encoder.parameters():
            weights += 0.01 * torch.randn_like(weights)  # equal ones would be merged
    window = WINDOW if kind == "transformer" else 0
    spec = EncoderSpec(
        kind=kind,
        dim=config.dim,
        state_size=getattr(encoder, "state_size", 0),
        features=config.features,
        window=window,
    )
    return spec, export_encoder(encoder.eval())
