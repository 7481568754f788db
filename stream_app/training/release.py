"""From a trained model to a bundle on disk."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    TextProjector,
    TextSpec,
    write_bundle,
)
from stream_app.bundle.action_head import ACTION_HEAD_FILE, ActionHead, encode_action_head
from stream_app.bundle.ranker import FRESHNESS, TEXT_SIMILARITY, RankerItems, ReleasedRanker
from stream_app.datasets import EventTable
from stream_app.encoders import EncoderSpec
from stream_app.encoders.spec import Kind
from stream_app.ranking.live.first_seen import NEVER
from stream_app.training.export import export_encoder
from stream_app.training.learner import Learner
from stream_app.training.priors import count_priors
from stream_app.training.ranker import FittedRanker
from stream_app.training.sequences import Vocabulary, user_sequences
from stream_app.training.texts import ItemTexts

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
    action_head: ActionHead | None = None
    text: TextProjector | None = None
    ranker: ReleasedRanker | None = None

    @classmethod
    def of(
        cls,
        learner: Learner,
        table: EventTable,
        ranking: RankingWeights,
        texts: ItemTexts | None = None,
        ranker: FittedRanker | None = None,
    ) -> Release:
        """Export `learner`, trained on `table`, with counts for a ranking with these weights, and
        the ranker that takes their place, if there is one.

        Items with a vector come first in the catalogue, the ones seen too seldom behind them with
        a row of zeros: they can still be recommended by counts. Last, if the configuration says so,
        come those of `texts`, with which the learner was trained, that no event is on.
        """
        vocabulary, config = learner.vocabulary, learner.config.model
        text = _projector(learner, texts)
        items = [table.item_ids[item] for item in vocabulary.items]
        unseen = _unseen(items, texts) if learner.config.unseen_items else {}
        vectors = np.zeros((len(items) + len(unseen), config.dim), np.float32)
        vectors[: vocabulary.size] = learner.vectors()
        if text is not None and texts is not None and unseen:
            vectors[len(items) :] = text.project(texts.vectors[list(unseen.values())])
        items += unseen
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
            items=items,
            vectors=vectors,
            priors=count_priors(table, places, len(items), ranking),
            golden=_golden(table, places),
            ranking=ranking,
            action_head=None if learner.head is None else learner.head.exported(),
            text=text,
            ranker=None
            if ranker is None
            else ranker.released(
                ranker_items(table, places, items, ranker.features, config.dim, text, texts)
            ),
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
        head = self.action_head
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
            text=self.text,
            ranker=self.ranker,
            optional={} if head is None else {ACTION_HEAD_FILE: encode_action_head(head)},
            metrics=metrics,
            ranking=self.ranking,
            replace=replace,
        )


def ranker_items(
    table: EventTable,
    places: NDArray[np.int64],
    items: Sequence[str],
    features: Collection[str],
    dim: int,
    text: TextProjector | None = None,
    texts: ItemTexts | None = None,
) -> RankerItems:
    """What a ranker with `features` asks about `items`, which have vectors of `dim`.

    `places` `[items of the table]` are their positions by item number, as of `catalog_places`.
    """
    first_ms = np.full(len(items), NEVER)
    at = places[table.items]
    np.minimum.at(first_ms, at[at >= 0], table.timestamps_ms[at >= 0])
    alone = np.zeros((0, dim), np.float16)
    if text is not None and texts is not None and TEXT_SIMILARITY in features:
        alone = text.project(texts.rows(items)).astype(np.float16)
    return RankerItems(first_ms if FRESHNESS in features else first_ms[:0], alone)


def _projector(learner: Learner, texts: ItemTexts | None) -> TextProjector | None:
    projection = learner.items.projection()
    if projection is None or texts is None:
        return None
    spec = TextSpec(
        encoder=texts.encoder.name,
        sha256=texts.encoder.digest,
        dim=projection.text_dim,
        delta_max=learner.config.delta_max,
    )
    return TextProjector(spec, projection)


def _unseen(items: list[str], texts: ItemTexts | None) -> dict[str, int]:
    """The items of `texts` that are not among `items`, and their rows there."""
    known = set(items)
    ids = texts.ids if texts is not None else []
    return {item_id: row for row, item_id in enumerate(ids) if item_id not in known}


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
