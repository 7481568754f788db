"""From a trained model to a bundle on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from stream_app.bundle import (
    DataWindow,
    GoldenHistory,
    Manifest,
    Priors,
    RankingWeights,
    write_bundle,
)
from stream_app.datasets import EventTable
from stream_app.encoders import EncoderSpec
from stream_app.encoders.spec import Kind
from stream_app.training.export import export_encoder
from stream_app.training.learner import Learner
from stream_app.training.priors import count_priors
from stream_app.training.sequences import Vocabulary, user_sequences

GOLDEN_USERS = 8
GOLDEN_LENGTH = 50  # events: enough for the slow channels of the state to fill

Metrics = Mapping[str, float | dict[str, float]]


@dataclass(frozen=True)
class Label:
    """How a release is called."""

    name: str
    version: str
    created: str | None = None
    """ISO 8601; now unless given, for bundles that can be made again bit by bit."""


@dataclass(frozen=True)
class Release:
    """All parts of a bundle but its name and its metrics."""

    encoder: EncoderSpec
    data: DataWindow
    graph: bytes
    items: list[str]
    vectors: NDArray[np.float32]
    priors: Priors
    golden: list[GoldenHistory]
    ranking: RankingWeights

    @classmethod
    def of(cls, learner: Learner, table: EventTable, ranking: RankingWeights) -> Release:
        """Export `learner`, trained on `table`, with counts for a ranking with these weights.

        Items with a vector come first in the catalogue, the ones seen too seldom behind them with
        a row of zeros: they can still be recommended by counts.
        """
        vocabulary, config = learner.vocabulary, learner.config.model
        vectors = np.zeros((len(vocabulary.items), config.dim), np.float32)
        vectors[: vocabulary.size] = learner.vectors()
        places = catalog_places(vocabulary, table)
        return cls(
            encoder=EncoderSpec(
                kind=cast(Kind, config.kind),
                dim=config.dim,
                state_size=learner.encoder.state_size,
                features=config.features,
                window=learner.encoder.window,
            ),
            data=DataWindow(
                source=table.source,
                events=len(table),
                from_ms=int(table.timestamps_ms[0]),
                until_ms=int(table.timestamps_ms[-1]),
            ),
            graph=export_encoder(learner.encoder),
            items=[table.item_ids[item] for item in vocabulary.items],
            vectors=vectors,
            priors=count_priors(table, places, len(vocabulary.items), ranking),
            golden=_golden(table, places),
            ranking=ranking,
        )

    def write(
        self,
        path: Path,
        label: Label,
        metrics: Metrics | None = None,
        *,
        replace: bool = False,
    ) -> Manifest:
        """Write the bundle to `path`; errors as of `write_bundle`."""
        return write_bundle(
            path,
            name=label.name,
            version=label.version,
            created=label.created,
            encoder=self.encoder,
            data=self.data,
            graph=self.graph,
            items=self.items,
            vectors=self.vectors,
            priors=self.priors,
            golden=self.golden,
            metrics=metrics,
            ranking=self.ranking,
            replace=replace,
        )


def catalog_places(vocabulary: Vocabulary, table: EventTable) -> NDArray[np.int64]:
    """Catalogue position of every item number of `table`, -1 for an item that was never seen."""
    places = np.full(len(table.item_ids), -1, np.int64)
    places[vocabulary.items] = np.arange(len(vocabulary.items))
    return places


def _golden(table: EventTable, places: NDArray[np.int64]) -> list[GoldenHistory]:
    """The newest events of some users, from the shortest history to the longest."""
    sequences = user_sequences(table)
    order = np.argsort(sequences.lengths, kind="stable")
    picks = np.linspace(0, len(order) - 1, min(GOLDEN_USERS, len(order))).astype(int)
    golden = []
    for sequence in (sequences[at] for at in order[picks].tolist()):
        begin = max(len(sequence) - GOLDEN_LENGTH, 0)
        golden.append(
            GoldenHistory(places[sequence.items(begin)].astype(np.int32), sequence.features(begin))
        )
    return golden
