"""What is being trained: an encoder, its item table, their optimiser, and one epoch of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stream_app.training.actions import TrainedActionHead, action_weights
from stream_app.training.average import WeightAverage
from stream_app.training.config import TrainingConfig
from stream_app.training.items import build_items
from stream_app.training.losses import full_cross_entropy, sampled_cross_entropy
from stream_app.training.models import build_encoder
from stream_app.training.schedule import epoch_rate, warmup_share
from stream_app.training.sequences import Batch, Sequences, Vocabulary, epoch

FULL_SOFTMAX_ITEMS = 20_000  # above it, sampled negatives: full logits would rule the step's time
SAMPLED_NEGATIVES = 1_024  # the curve of accuracy over their number is flat from about here on


class Learner:
    """A model in training; `epoch` counts the epochs it has seen.

    Outside `train_epoch` its weights are the moving average of those in training, and nothing is
    dropped.
    """

    def __init__(
        self,
        config: TrainingConfig,
        vocabulary: Vocabulary,
        texts: NDArray[np.float32] | None = None,
    ) -> None:
        """Start with random weights; `texts` `[items of the table, t]` are what their texts say."""
        torch.manual_seed(config.seed)
        self.config = config
        self.vocabulary = vocabulary
        self.encoder = build_encoder(config.model)
        self.items = build_items(config, vocabulary, texts)
        self.head = TrainedActionHead(config.model) if config.action_loss else None
        self.epoch = 0
        self._steps = 0
        self._rng = np.random.default_rng(config.seed)
        weights = action_weights(config)
        self._action_weights = None if weights is None else torch.from_numpy(weights)
        parameters = [one for part in self._parts().values() for one in part.parameters()]
        self._optimiser = torch.optim.AdamW(
            parameters, lr=epoch_rate(config, 0), weight_decay=config.weight_decay, fused=True
        )
        self._average = WeightAverage(parameters, config.ema_decay)
        self._set_training(False)

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
        """Mean cross-entropy, in nats, of every target that has a vector, and of its action."""
        config, vectors = self.config, self.items()
        users = self.users(batch, vectors, config.item_dropout)
        targets = torch.from_numpy(batch.targets)
        wanted = targets >= 0
        users, targets = users[wanted], targets[wanted]
        actions = torch.from_numpy(batch.actions)[wanted].long()
        weights = None
        if self._action_weights is not None:
            weights = self._action_weights[actions.clamp_max(len(self._action_weights) - 1)]
        loss = self._next_item_loss(users / config.temperature, vectors, targets, weights)
        if self.head is not None:
            loss = loss + config.action_loss * self.head.loss(users, vectors[targets], actions)
        return loss

    def _next_item_loss(
        self, users: Tensor, vectors: Tensor, targets: Tensor, weights: Tensor | None
    ) -> Tensor:
        config = self.config
        if not config.negatives and self.vocabulary.size <= FULL_SOFTMAX_ITEMS:
            return full_cross_entropy(users, vectors, targets, weights)
        count = config.negatives or SAMPLED_NEGATIVES
        negatives = torch.from_numpy(self._rng.integers(self.vocabulary.size, size=count))
        return sampled_cross_entropy(users, vectors, targets, negatives, weights)

    def train_epoch(self, sequences: Sequences) -> float:
        """Run one epoch over `sequences`; returns the mean loss."""
        config = self.config
        # Seeded anew for every epoch: a run that was stopped goes on exactly as it would have.
        self._rng = np.random.default_rng([config.seed, self.epoch])
        self.encoder.dropout.seed([config.seed, self.epoch])
        self.items.seed([config.seed, self.epoch])
        batches = epoch(
            sequences,
            self.vocabulary,
            self._rng,
            # What an encoder will not read in serving, it must not learn to rely on.
            window=min(config.window, self.encoder.window or config.window),
            batch_tokens=config.batch_tokens,
            reach=config.reach,
        )
        events = int(sequences.lengths.sum())
        self._rate = epoch_rate(config, self.epoch)
        self._steps_of_epoch = -(-events // config.batch_tokens)
        self._set_training(True)
        with self._average:
            losses = [self._train_step(batch) for batch in batches if (batch.targets >= 0).any()]
        self._set_training(False)
        self.epoch += 1
        return float(np.mean(losses)) if losses else 0.0

    def _train_step(self, batch: Batch) -> float:
        share = warmup_share(self.config, self._steps, self._steps_of_epoch)
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * share
        loss = self.loss(batch)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        self._optimiser.step()
        self._average.update()
        self._steps += 1
        return float(loss.item())

    def _set_training(self, on: bool) -> None:
        """Whether anything is dropped; a run that goes on when it was done is never trained."""
        self.encoder.train(on)
        self.items.train(on)

    def _parts(self) -> dict[str, nn.Module]:
        parts = {"encoder": self.encoder, "items": self.items}
        return parts if self.head is None else {**parts, "head": self.head}

    def weights(self) -> dict[str, Any]:
        """A copy of all weights."""
        return {
            name: {key: value.clone() for key, value in part.state_dict().items()}
            for name, part in self._parts().items()
        }

    def set_weights(self, weights: dict[str, Any]) -> None:
        """Take over what `weights` returned."""
        for name, part in self._parts().items():
            part.load_state_dict(weights[name])

    def progress(self) -> dict[str, Any]:
        """All that is needed to go on as if training had not stopped."""
        return {
            "epoch": self.epoch,
            "steps": self._steps,
            "weights": self.weights(),
            "average": self._average.progress(),
            "optimiser": self._optimiser.state_dict(),
        }

    def set_progress(self, progress: dict[str, Any]) -> None:
        """Take over what `progress` returned."""
        self.epoch = progress["epoch"]
        self._steps = progress["steps"]
        self.set_weights(progress["weights"])
        self._average.set_progress(progress["average"])
        self._optimiser.load_state_dict(progress["optimiser"])
