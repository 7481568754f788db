"""The trained item vectors, outside every encoder: by id, or from text and a bounded delta."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stream_app.text.projection import Projection, fit_whitening, with_text
from stream_app.training.config import TrainingConfig, TrainingError
from stream_app.training.sequences import Vocabulary

# A delta starts at 0 beside a vector of length 1, a free vector at a length of 0.16: at one
# learning rate the first would turn six times more slowly.
DELTA_RATE = 6.0


class ItemTable(nn.Module):
    """One free vector per item; always read at unit length."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, dim) * 0.02)

    def seed(self, seed: Sequence[int]) -> None:
        """Start whatever is random in training from `seed`; here nothing is."""

    def projection(self) -> Projection | None:
        """What makes vectors of new items from their text; here there is nothing."""
        return None

    def text_digest(self) -> str:
        """What tells the texts of one run from those of another; here there are none."""
        return ""

    def forward(self) -> Tensor:
        """All vectors `[N, d]`, unit length."""
        return functional.normalize(self.weight, dim=-1)


class TextItemTable(ItemTable):
    """`item = normalise(normalise(W c) + delta)` with `|delta| <= delta_max`.

    `c` is the whitened vector of the item's text, `W` is shared by all items, delta is the item's
    own. The bound keeps items that were trained and items that were not in one space (Let It Go,
    2025, https://arxiv.org/abs/2507.19473): their cosine to the text alone is at least
    `sqrt(1 - delta_max ** 2)`. In training the deltas of some items are left out of each batch, so
    that `W` learns to stand alone. An item without text has a free vector, one seen too seldom to
    learn a delta has none.
    """

    def __init__(
        self,
        texts: NDArray[np.float32],
        learned: NDArray[np.bool_],
        dim: int,
        *,
        rank: int,
        delta_max: float,
        id_dropout: float,
    ) -> None:
        """Take text vectors `[N, t]`, zeros where an item has none, and which items have a delta.

        `W` starts as the first `dim` principal components. Raises `ValueError` for fewer than two
        texts that differ.
        """
        super().__init__(len(texts), dim)
        self.delta_max, self.id_dropout = delta_max, id_dropout
        self.whitening = fit_whitening(texts, rank)
        described = torch.from_numpy(with_text(texts)[:, None])
        content = torch.from_numpy((texts - self.whitening.mean) @ self.whitening.matrix)
        content = functional.normalize(content, dim=-1) * described
        # Made again from the texts by every run, so no part of its weights.
        self.register_buffer("content", content, persistent=False)
        self.register_buffer("described", described, persistent=False)
        self.register_buffer("learned", torch.from_numpy(learned)[:, None], persistent=False)
        self.project = nn.Linear(content.shape[1], dim, bias=False)
        nn.init.eye_(self.project.weight)
        with torch.no_grad():
            self.weight *= ~described
        self.seed([0])

    def seed(self, seed: Sequence[int]) -> None:
        """Start the choice of deltas that are left out from `seed`."""
        self._rng = np.random.default_rng(seed)

    def projection(self) -> Projection:
        """What makes vectors of new items from their text: `W` as it is now."""
        weights = self.project.weight.detach().t().contiguous().numpy().copy()
        return Projection.of(self.whitening, weights)

    def text_digest(self) -> str:
        """SHA-256 of the whitened vectors."""
        return hashlib.sha256(self.content.numpy().tobytes()).hexdigest()

    def deltas(self) -> Tensor:
        """The deltas `[N, d]`; zeros for an item without text, whose vector is its own."""
        deltas: Tensor = self._deltas() * self.described
        return deltas

    def forward(self) -> Tensor:
        """All vectors `[N, d]`, unit length."""
        from_text = functional.normalize(self.project(self.content), dim=-1)
        own = torch.where(self.described, self._deltas(), self.weight)
        if self.training and self.id_dropout:
            kept = torch.from_numpy(self._rng.random(len(own)) >= self.id_dropout)[:, None]
            own = own * (kept | ~self.described)
        return functional.normalize(from_text + own, dim=-1)

    def _deltas(self) -> Tensor:
        free = self.weight * DELTA_RATE
        lengths = free.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        deltas: Tensor = free * (self.delta_max / lengths).clamp_max(1) * self.learned
        return deltas


def build_items(
    config: TrainingConfig, vocabulary: Vocabulary, texts: NDArray[np.float32] | None = None
) -> ItemTable:
    """The item table of a run, from the text vectors `[items of the table, t]` where there are any.

    Raises `TrainingError` when the texts cannot tell items apart.
    """
    if texts is None:
        return ItemTable(vocabulary.size, config.model.dim)
    rows = vocabulary.items[: vocabulary.size]
    try:
        return TextItemTable(
            texts[rows],
            vocabulary.counts[: vocabulary.size] >= config.min_count,
            config.model.dim,
            rank=config.text_rank,
            delta_max=config.delta_max,
            id_dropout=config.id_dropout,
        )
    except ValueError as error:
        raise TrainingError(f"texts of the items: {error}; leave --texts out, or give more") from (
            error
        )
