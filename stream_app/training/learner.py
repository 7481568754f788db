"""What is being trained: an encoder, its item table, their optimiser, and one epoch of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_app.training.config import TrainingConfig
from stream_app.training.losses import full_cross_entropy, sampled_cross_entropy
from stream_app.training.model import ItemTable, RecurrentEncoder
from stream_app.training.sequences import Batch, Sequences, Vocabulary, epoch

FULL_SOFTMAX_ITEMS = 20_000  # above it, sampled negatives: full logits would rule the step's time
SAMPLED_NEGATIVES = 1_024  # the curve of accuracy over their number is flat from about here on
FALL_FROM, FALL_TO = 0.7, 0.05  # the learning rate falls linearly over the last 30 % of epochs


class Learner:
    """A model in training; `epoch` counts the epochs it has seen."""

    def __init__(self, config: TrainingConfig, vocabulary: Vocabulary) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.vocabulary = vocabulary
        self.encoder = RecurrentEncoder(config.model)
        self.items = ItemTable(vocabulary.size, config.model.dim)
        self.epoch = 0
        self._rng = np.random.default_rng(config.seed)
        self._optimiser = torch.optim.AdamW(
            [*self.encoder.parameters(), *self.items.parameters()],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )

    def vectors(self) -> NDArray[np.float32]:
        """Unit-length item vectors `[N, d]`."""
        with torch.no_grad():
            vectors: NDArray[np.float32] = self.items().numpy().copy()
        return vectors

    def users(self, batch: Batch, vectors: Tensor, hidden: float = 0.0) -> Tensor:
        """User vectors `[B, T, d]`; unknown items, and a share `hidden` of all, enter as zeros."""
        rows = torch.from_numpy(batch.rows)
        known = rows >= 0
        if hidden:
            known &= torch.from_numpy(self._rng.random(batch.rows.shape) >= hidden)
        item = vectors[rows.clamp_min(0)] * known[..., None]
        users: Tensor = self.encoder(item, torch.from_numpy(batch.features))
        return users

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy, in nats, of every target that has a vector."""
        config, vectors = self.config, self.items()
        users = self.users(batch, vectors, config.item_dropout)
        targets = torch.from_numpy(batch.targets)
        wanted = targets >= 0
        users, targets = users[wanted] / config.temperature, targets[wanted]
        if not config.negatives and self.vocabulary.size <= FULL_SOFTMAX_ITEMS:
            return full_cross_entropy(users, vectors, targets)
        count = config.negatives or SAMPLED_NEGATIVES
        negatives = self._rng.integers(self.vocabulary.size, size=count)
        return sampled_cross_entropy(users, vectors, targets, torch.from_numpy(negatives))

    def train_epoch(self, sequences: Sequences) -> float:
        """Run one epoch over `sequences`; returns the mean loss."""
        config = self.config
        # Seeded anew for every epoch: a run that was stopped goes on exactly as it would have.
        self._rng = np.random.default_rng([config.seed, self.epoch])
        self.encoder.dropout.seed([config.seed, self.epoch])
        batches = epoch(
            sequences,
            self.vocabulary,
            self._rng,
            window=config.window,
            batch_tokens=config.batch_tokens,
            reach=config.reach,
        )
        self._set_learning_rate()
        self.encoder.train()
        losses = [self._train_step(batch) for batch in batches if (batch.targets >= 0).any()]
        self.encoder.eval()
        self.epoch += 1
        return float(np.mean(losses)) if losses else 0.0

    def _train_step(self, batch: Batch) -> float:
        loss = self.loss(batch)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        self._optimiser.step()
        return float(loss.item())

    def _set_learning_rate(self) -> None:
        done = self.epoch / self.config.epochs
        fallen = max(0.0, (done - FALL_FROM) / (1 - FALL_FROM))
        for group in self._optimiser.param_groups:
            group["lr"] = self.config.learning_rate * max(FALL_TO, 1 - fallen * (1 - FALL_TO))

    def weights(self) -> dict[str, Any]:
        """A copy of all weights."""
        parts = {"encoder": self.encoder.state_dict(), "items": self.items.state_dict()}
        return {
            name: {key: value.clone() for key, value in part.items()}
            for name, part in parts.items()
        }

    def set_weights(self, weights: dict[str, Any]) -> None:
        """Take over what `weights` returned."""
        self.encoder.load_state_dict(weights["encoder"])
        self.items.load_state_dict(weights["items"])

    def progress(self) -> dict[str, Any]:
        """All that is needed to go on as if training had not stopped."""
        return {
            "epoch": self.epoch,
            "weights": self.weights(),
            "optimiser": self._optimiser.state_dict(),
        }

    def set_progress(self, progress: dict[str, Any]) -> None:
        """Take over what `progress` returned."""
        self.epoch = progress["epoch"]
        self.set_weights(progress["weights"])
        self._optimiser.load_state_dict(progress["optimiser"])
