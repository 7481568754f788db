"""The trained item vectors, outside every encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream_app.training.config import TrainingConfig, TrainingError
from stream_app.training.sequences import Vocabulary


class ItemTable(nn.Module):
    """One free vector per item; always read at unit length."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, dim) * 0.02)

    def forward(self) -> Tensor:
        """All vectors `[N, d]`, unit length."""
        return functional.normalize(self.weight, dim=-1)


def build_items(
    config: TrainingConfig, vocabulary: Vocabulary, text_vectors: Tensor | None = None
) -> ItemTable:
    """The item table of a run; raises `TrainingError` for `text_vectors`, which it cannot use."""
    if text_vectors is not None:
        raise TrainingError("item vectors cannot be made from text yet; leave the text out")
    return ItemTable(vocabulary.size, config.model.dim)
