"""A causal transformer over the last events, without a state: every vector reads them again.

After SASRec (Kang & McAuley 2018, https://arxiv.org/abs/1808.09781) with normalisation before
each branch and rotary positions (Su et al. 2021, https://arxiv.org/abs/2104.09864): only distances
between events count, so a window of a long history is encoded like a short history.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream_app.training.config import ModelConfig, TrainingError
from stream_app.training.models.base import WindowEncoder
from stream_app.training.models.dropout import Dropout
from stream_app.users.state import HISTORY_LENGTH

ROTARY_BASE = 10_000.0
MASKED = -1e9  # added to a score: a plain sum where a boolean mask exports guards against NaN


class TransformerBlock(nn.Module):
    """Attention of `heads` heads, then a feed-forward layer, each added to its input."""

    def __init__(self, config: ModelConfig, dropout: Dropout) -> None:
        super().__init__()
        dim = config.dim
        self.heads, self.head_dim = config.heads, dim // config.heads
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.wide_norm = nn.LayerNorm(dim)
        self.widen = nn.Linear(dim, config.expansion * dim)
        self.narrow = nn.Linear(config.expansion * dim, dim)
        self.dropout = dropout

    def keys_values(self, normed: Tensor, turns: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Turned keys and values `[B, heads, T, head_dim]`."""
        keys, values = self.key_value(normed).chunk(2, -1)
        return _turned(self._by_head(keys), turns), self._by_head(values)

    def queries(self, normed: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """Turned queries `[B, heads, T, head_dim]`."""
        return _turned(self._by_head(self.query(normed)), turns)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """`[B, T, d]` and what its heads found `[B, heads, T, head_dim]`, to `[B, T, d]`."""
        x = x + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))
        wide = self.dropout(functional.relu(self.widen(self.wide_norm(x))))
        return x + self.dropout(self.narrow(wide))

    def forward(self, x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """Whole sequences `[B, T, d]`; no event sees a later one."""
        normed = self.norm(x)
        keys, values = self.keys_values(normed, turns)
        attended = functional.scaled_dot_product_attention(
            self.queries(normed, turns), keys, values, is_causal=True
        )
        return self.finish(x, attended)

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)


class TransformerEncoder(WindowEncoder):
    """Transformer blocks; serving encodes the last `config.context` events."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        if config.dim % (2 * config.heads):
            raise TrainingError(
                f"a dim of {config.dim} does not split into {config.heads} heads of even size; "
                f"use a multiple of {2 * config.heads}, or fewer heads"
            )
        if not 1 <= config.context <= HISTORY_LENGTH:
            raise TrainingError(
                f"a context of {config.context} events is not in 1..{HISTORY_LENGTH}, the events "
                "that a user's row holds"
            )
        self.window = config.context
        self.blocks = nn.ModuleList(
            TransformerBlock(config, self.dropout) for _ in range(config.blocks)
        )
        half = config.dim // config.heads // 2
        speeds = ROTARY_BASE ** (-torch.arange(half, dtype=torch.float32) / half)
        self.register_buffer("speeds", speeds, persistent=False)

    def forward(self, item: Tensor, features: Tensor) -> Tensor:
        """User vectors `[B, T, d]`; see `Encoder.forward`."""
        x = self.embed(item, features)
        turns = self._turns(torch.arange(x.shape[1], device=x.device))
        for block in self.blocks:
            x = block(x, turns)
        return self.leave(x)

    def encode(self, item: Tensor, features: Tensor, lengths: Tensor) -> Tensor:
        """User vectors `[B, d]`; see `WindowEncoder.encode`.

        Attention is written out, as compilers of exported graphs look for it; the last block asks
        for the last event only.
        """
        x = self.embed(item, features)
        positions = torch.arange(x.shape[1], device=x.device)
        turns = self._turns(positions)
        later = (positions[None, :] > positions[:, None]).to(x.dtype) * MASKED
        for block in self.blocks[:-1]:
            normed = block.norm(x)
            keys, values = block.keys_values(normed, turns)
            x = block.finish(x, _attend(block.queries(normed, turns), keys, values, later))
        block, last = self.blocks[-1], lengths - 1
        keys, values = block.keys_values(block.norm(x), turns)
        padding = (positions[None, :] > last[:, None]).to(x.dtype) * MASKED
        x = x.gather(1, last[:, None, None].expand(-1, 1, x.shape[2]))
        queries = block.queries(block.norm(x), self._turns(last[:, None, None]))
        attended = _attend(queries, keys, values, padding[:, None, None, :])
        return self.leave(block.finish(x, attended)[:, 0])

    def _turns(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines `[..., T, head_dim / 2]` of the angles at positions `[..., T]`."""
        angles = positions[..., None].to(self.speeds.dtype) * self.speeds
        return torch.cos(angles), torch.sin(angles)


def _turned(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Each pair (i, i + head_dim / 2) of `[B, heads, T, head_dim]` turned by its angle."""
    (first, second), (cosines, sines) = x.chunk(2, -1), turns
    return torch.cat((first * cosines - second * sines, first * sines + second * cosines), -1)


def _attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
    return torch.softmax(scores + mask, -1) @ values
