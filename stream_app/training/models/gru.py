"""A GRU (Cho et al. 2014, https://arxiv.org/abs/1406.1078), as in GRU4Rec: the known yardstick."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stream_app.training.config import ModelConfig
from stream_app.training.models.base import SteppedEncoder


class GruEncoder(SteppedEncoder):
    """Layers of gated recurrent units of `width`; the state is that of every layer, end to end."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.state_size = config.blocks * config.width
        self.layers = nn.ModuleList(
            nn.GRU(config.width if layer else config.dim, config.width, batch_first=True)
            for layer in range(config.blocks)
        )
        self.out = nn.Linear(config.width, config.dim)

    def forward(self, item: Tensor, features: Tensor) -> Tensor:
        """User vectors `[B, T, d]`; see `Encoder.forward`."""
        x = self.embed(item, features)
        for layer in self.layers:
            x = self.dropout(layer(x)[0])
        return self.leave(self.out(x))

    def step(self, state: Tensor, item: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """New states `[B, S]` and user vectors `[B, d]`; see `SteppedEncoder.step`."""
        x = self.embed(item, features)
        states = []
        for layer, old in zip(self.layers, state.split(self.config.width, -1), strict=True):
            x = _cell(layer, x, old)
            states.append(x)
        return torch.cat(states, -1), self.leave(self.out(x))


def _cell(layer: nn.GRU, x: Tensor, state: Tensor) -> Tensor:
    """One event through a layer, with the formula of `torch.nn.GRU` in plain operations."""
    of_input = nn.functional.linear(x, layer.weight_ih_l0, layer.bias_ih_l0).chunk(3, -1)
    of_state = nn.functional.linear(state, layer.weight_hh_l0, layer.bias_hh_l0).chunk(3, -1)
    reset = torch.sigmoid(of_input[0] + of_state[0])
    keep = torch.sigmoid(of_input[1] + of_state[1])
    new = torch.tanh(of_input[2] + reset * of_state[2])
    return new + keep * (state - new)
