"""What every encoder has in common: how events enter, and how user vectors leave."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from stream_app.training.config import ModelConfig
from stream_app.training.models.dropout import Dropout
from stream_app.training.models.events import EventInput


class Encoder(nn.Module):
    """Item vectors and features of a sequence in, unit-length user vectors out.

    Inputs are unit-length item vectors and the features of `stream_app.users.features`; outputs
    are unit-length user vectors, so retrieval is by cosine.
    """

    window = 0
    """Events that the encoder reads again for every vector; 0: it keeps a state instead."""
    state_size = 0
    """Floats of one user's state."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = Dropout(config.dropout)
        self.enter = EventInput(config)
        self.norm = nn.LayerNorm(config.dim)

    def embed(self, item: Tensor, features: Tensor) -> Tensor:
        """`[..., d]` and `[..., f]` to what the first layer takes, `[..., d]`."""
        entered: Tensor = self.dropout(self.enter(item, features))
        return entered

    def leave(self, x: Tensor) -> Tensor:
        """What the last layer gave, `[..., d]`, to user vectors of unit length."""
        return functional.normalize(self.norm(x), dim=-1)

    def forward(self, item: Tensor, features: Tensor) -> Tensor:
        """`[B, T, d]` and `[B, T, f]`, padded on the right, to user vectors `[B, T, d]`.

        There is one after every event, and it depends on no later one.
        """
        raise NotImplementedError


class SteppedEncoder(Encoder):
    """An encoder with a state per user, which advances by one event at a time."""

    def step(self, state: Tensor, item: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, S]`, `[B, d]`, `[B, f]` to new states `[B, S]` and user vectors `[B, d]`."""
        raise NotImplementedError


class WindowEncoder(Encoder):
    """An encoder without a state, which reads a user's last `window` events at once."""

    def encode(self, item: Tensor, features: Tensor, lengths: Tensor) -> Tensor:
        """User vectors `[B, d]` after the last event of each sequence.

        `item` is `[B, L, d]` and `features` `[B, L, f]`, padded on the right; `lengths` `[B]`
        int64 says how many events of each row count, at least one.
        """
        raise NotImplementedError
