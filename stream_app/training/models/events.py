"""How one event enters an encoder: its item's vector, its action and the time before it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stream_app.training.config import ModelConfig, TrainingError
from stream_app.users.features import ACTION_SLOTS, GAP

GAP_BUCKETS = 16  # over 0 s .. 30 days in log scale: about 2.5 times as long from one to the next
GAPS = ("none", "scaled", "buckets", "both")


class EventInput(nn.Module):
    """`sqrt(d) * item * gain + features W`, with the columns of `features` that the config names.

    `gain` is 1, or a learned number per action.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.gaps not in GAPS:
            raise TrainingError(f"there are no gaps {config.gaps!r}; use one of {', '.join(GAPS)}")
        self.scale = math.sqrt(config.dim)
        self.features = nn.Linear(config.features, config.dim, bias=False)
        chosen = torch.ones(config.features)
        chosen[:ACTION_SLOTS] = float(config.actions)
        chosen[GAP] = float(config.gaps in ("scaled", "both"))
        self.all_columns = bool(chosen.all())
        self.register_buffer("chosen", chosen, persistent=False)
        # How much an item counts by what was done with it; a click and a purchase start level.
        self.gain = nn.Parameter(torch.ones(ACTION_SLOTS)) if config.action_gain else None
        self.buckets = None
        if config.gaps in ("buckets", "both"):
            self.buckets = nn.Linear(GAP_BUCKETS, config.dim, bias=False)

    def forward(self, item: Tensor, features: Tensor) -> Tensor:
        """`[..., d]` and `[..., f]` to `[..., d]`."""
        columns = features if self.all_columns else features * self.chosen
        x = item * self.scale
        if self.gain is not None:
            x = x * (features[..., :ACTION_SLOTS] @ self.gain)[..., None]
        x = x + self.features(columns)
        return x if self.buckets is None else x + self.buckets(gap_buckets(features[..., GAP]))


def gap_buckets(scaled: Tensor) -> Tensor:
    """Shares `[..., GAP_BUCKETS]` of the buckets that a gap lies between, from its scaled log.

    A gap counts towards the two nearest buckets, by how near they are: unlike with one bucket per
    gap, rounding on another backend cannot move an event from one vector to the next.
    """
    places = torch.arange(GAP_BUCKETS, dtype=scaled.dtype, device=scaled.device)
    at = scaled.clamp(0.0, 1.0)[..., None] * (GAP_BUCKETS - 1)
    return (1 - (at - places).abs()).clamp_min(0.0)
