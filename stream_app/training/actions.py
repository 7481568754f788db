"""What users do with items, in training: how much each action counts, and a head that tells them.

The head is the second task of a shared encoder (Caruana 1997, "Multitask Learning"): from a user
vector and an item vector, how likely each action is if the user's next event is on that item.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stream_app.bundle.action_head import ActionHead
from stream_app.training.config import ModelConfig, TrainingConfig, TrainingError
from stream_app.users.actions import ACTIONS, action_numbers


def action_weights(config: TrainingConfig) -> NDArray[np.float32] | None:
    """Weights `[actions]` of targets by action code; None when all are 1.

    Raises `TrainingError` for what is not `name=number` with a known action and a number above 0.
    """
    try:
        weights = np.array(action_numbers(config.action_weights), np.float32)
    except ValueError as error:
        raise TrainingError(f"action_weights: {error}") from None
    return weights if (weights != 1).any() else None


class TrainedActionHead(nn.Module):
    """Logits of the actions from user, item and their product, in training."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * config.dim, len(ACTIONS))

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Unit rows `[n, d]` and `[n, d]` to logits `[n, actions]`."""
        scale = users.shape[-1] ** 0.5  # a product of two unit rows is small: 1 / d an entry
        joined = torch.cat((users, items, users * items * scale), -1)
        logits: Tensor = self.linear(joined * scale)
        return logits

    def loss(self, users: Tensor, items: Tensor, actions: Tensor) -> Tensor:
        """Mean cross-entropy, in nats, of action codes `[n]`; a code that is new is `other`."""
        known = torch.where(actions < len(ACTIONS), actions, 0)
        return functional.cross_entropy(self(users, items), known)

    def exported(self) -> ActionHead:
        """The head as a bundle holds it."""
        dim = self.linear.in_features // 3
        weight = self.linear.weight.detach().numpy().T * dim**0.5
        weight[2 * dim :] *= dim**0.5
        return ActionHead(weight.astype(np.float32), self.linear.bias.detach().numpy().copy())
