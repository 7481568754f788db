"""What the cold-start benchmark trains, and the data it trains on."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from stream_app.datasets import EventTable
from stream_app.evaluation.progress import PlainProgress
from stream_app.evaluation.protocols import Split
from stream_app.text import TextEncoder
from stream_app.training.config import TrainingConfig
from stream_app.training.evaluated import TrainedEncoder
from stream_app.training.fit import fit
from stream_app.training.learner import Learner
from stream_app.training.sequences import NO_ROW
from stream_app.training.texts import ItemTexts

Floats = NDArray[np.float32]


class Data(NamedTuple):
    """Events, and the text of every item."""

    name: str
    table: EventTable
    texts: dict[str, str]
    encoded: ItemTexts

    @classmethod
    def of(cls, name: str, table: EventTable, texts: dict[str, str], encoder: TextEncoder) -> Data:
        return cls(name, table, texts, ItemTexts.encode(texts, encoder, wanted=set(table.item_ids)))


class AllItems(TrainedEncoder):
    """A trained model as a method under evaluation, with vectors of items that it never saw."""

    def __init__(self, name: str, learner: Learner, vectors: Floats) -> None:
        """`vectors` `[N, d]` of all items of the table; zeros for one without."""
        super().__init__(name, learner.config, PlainProgress())
        rows = np.where(vectors.any(axis=1), np.arange(len(vectors)), NO_ROW)
        learner.vocabulary = replace(learner.vocabulary, rows=rows)
        self._use(learner)
        self._vectors = torch.from_numpy(vectors)


def train(split: Split, config: TrainingConfig, texts: ItemTexts | None) -> tuple[Learner, Floats]:
    """A model of the past of `split`, and vectors of all its items, those it never saw too."""
    rows = texts.rows(split.table.item_ids) if texts is not None else None
    learner, _ = fit(split.past, config, texts=rows)
    projection = learner.items.projection()
    vectors = np.zeros((len(split.table.item_ids), config.model.dim), np.float32)
    if projection is not None and rows is not None:
        vectors[:] = projection.project(rows)
    vocabulary = learner.vocabulary
    vectors[vocabulary.items[: vocabulary.size]] = learner.vectors()
    return learner, vectors
