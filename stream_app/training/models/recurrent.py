"""The default encoder: a gated linear recurrence with its state outside.

After the RG-LRU of Griffin (De et al. 2024, https://arxiv.org/abs/2402.19427): a diagonal
recurrence whose decay is gated by the input, an output gate, then a feed-forward layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream_app.training.config import ModelConfig
from stream_app.training.models.base import SteppedEncoder
from stream_app.training.models.dropout import Dropout
from stream_app.training.scan import linear_scan

GATE_SHARPNESS = 8.0  # the constant c of the RG-LRU: decay = exp(-c * softplus(lam) * gate)
LONGEST_MEMORY = 300.0  # events; slowest initial time constant at a half-open gate


class RecurrentBlock(nn.Module):
    """One residual pair: gated recurrence of `width` channels, then a feed-forward layer."""

    def __init__(self, config: ModelConfig, dropout: Dropout) -> None:
        super().__init__()
        dim, width = config.dim, config.width
        self.norm = nn.LayerNorm(dim)
        self.into = nn.Linear(dim, 4 * width)
        self.out = nn.Linear(width, dim)
        self.wide_norm = nn.LayerNorm(dim)
        self.widen = nn.Linear(dim, config.expansion * dim)
        self.narrow = nn.Linear(config.expansion * dim, dim)
        self.dropout = dropout
        nn.init.zeros_(self.into.bias)
        # Time constants spread evenly in log scale over 1 .. LONGEST_MEMORY events.
        rates = torch.exp(-torch.linspace(0.0, math.log(LONGEST_MEMORY), width))
        self.lam = nn.Parameter(torch.log(torch.expm1(2 * rates / GATE_SHARPNESS)))

    def gates(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decay, drive and output gate, each `[..., width]`."""
        u, output, recurrence, input_ = self.into(self.norm(x)).chunk(4, -1)
        log_decay = -GATE_SHARPNESS * functional.softplus(self.lam) * torch.sigmoid(recurrence)
        # sqrt(1 - a^2) keeps the state's variance at the drive's, whatever the decay.
        scale = torch.sqrt(1 - torch.exp(2 * log_decay) + 1e-8)
        return torch.exp(log_decay), scale * torch.sigmoid(input_) * u, functional.silu(output)

    def mix(self, x: Tensor, states: Tensor, gate: Tensor) -> Tensor:
        x = x + self.dropout(self.out(states * gate))
        wide = self.dropout(functional.relu(self.widen(self.wide_norm(x))))
        return x + self.dropout(self.narrow(wide))

    def forward(self, x: Tensor) -> Tensor:
        """Whole sequences `[B, T, dim]` from a zero state."""
        decay, drive, gate = self.gates(x)
        return self.mix(x, linear_scan(decay, drive), gate)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One event `[B, dim]` on states `[B, width]`: output and new states."""
        decay, drive, gate = self.gates(x)
        state = decay * state + drive
        return self.mix(x, state, gate), state


class RecurrentEncoder(SteppedEncoder):
    """Blocks of gated linear recurrences; the state is that of every block, end to end."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.state_size = config.blocks * config.width
        self.blocks = nn.ModuleList(
            RecurrentBlock(config, self.dropout) for _ in range(config.blocks)
        )

    def forward(self, item: Tensor, features: Tensor) -> Tensor:
        """User vectors `[B, T, d]`; see `Encoder.forward`."""
        x = self.embed(item, features)
        for block in self.blocks:
            x = block(x)
        return self.leave(x)

    def step(self, state: Tensor, item: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """New states `[B, S]` and user vectors `[B, d]`; see `SteppedEncoder.step`."""
        x = self.embed(item, features)
        states = []
        for block, old in zip(self.blocks, state.split(self.config.width, -1), strict=True):
            x, new = block.step(x, old)
            states.append(new)
        return torch.cat(states, -1), self.leave(x)
