"""A finished bundle as a method: its encoder alone, or all of it on a stream. No training."""

from __future__ import annotations

import numpy as np

from stream_app.bundle import Bundle
from stream_app.encoders.base import History
from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.histories import NOTHING, Histories
from stream_app.evaluation.methods import Floats
from stream_app.evaluation.protocols import LEAVE_ONE_OUT, Split
from stream_app.evaluation.replay import RecommenderLists, past_rows
from stream_app.evaluation.run import LiveMethod
from stream_app.objectives import Objectives
from stream_app.plan import DEFAULT_FILTERS, NEXT_EVENT, Plan
from stream_app.recommender import Recommender
from stream_app.users.features import event_gaps, sequence_features
from stream_app.users.state import HISTORY_LENGTH


class BundledEncoder:
    """What the encoder of a bundle says alone, from as many events as a user's row keeps."""

    def __init__(self, bundle: Bundle, name: str) -> None:
        self.name = name
        self._bundle = bundle

    def fit(self, split: Split) -> None:
        """Learn nothing; raises `EvaluationError` when the bundle has seen what is asked."""
        check_unseen(self._bundle, split)
        catalog = self._bundle.catalog
        ids = split.table.item_ids
        self._places = np.array([catalog.index_of(item) for item in ids], np.int32)
        self._vectors = catalog.vectors_of(self._places)
        self._without = ~self._vectors.any(axis=1)

    def scores(self, histories: Histories) -> Floats:
        _, users = self._bundle.encoder.encode(self._histories(histories))
        scores: Floats = users @ self._vectors.T
        scores[:, self._without] = -np.inf
        return scores

    def _histories(self, histories: Histories) -> list[History]:
        table = histories.log.table
        made = []
        for row in histories.window(HISTORY_LENGTH):
            events = row[row != NOTHING]
            features = sequence_features(
                table.actions[events], event_gaps(table.timestamps_ms[events])
            )
            made.append(History(self._vectors[table.items[events]], features))
        return made


def replayed_bundle(
    name: str, bundle: Bundle, k: int, objectives: Objectives = NEXT_EVENT
) -> LiveMethod:
    """The real recommender with `bundle`, lists of `k` items, and the rows that the past leaves.

    With repeats, no filter keeps back what a user had.
    """

    def make(split: Split) -> RecommenderLists:
        filters = () if split.repeats else DEFAULT_FILTERS
        made = Recommender(bundle, k=k, plan=Plan(filters=filters, objectives=objectives))
        return RecommenderLists(made, past_rows(split.past))

    return LiveMethod(name, make)


def check_unseen(bundle: Bundle, split: Split) -> None:
    """Raise `EvaluationError` unless every event that is asked about is later than the bundle's."""
    if split.protocol == LEAVE_ONE_OUT:
        raise EvaluationError(
            "a finished bundle has learned from the items that leave-one-out asks for; use "
            "--protocol time-split or replay"
        )
    until_ms = bundle.manifest.data.until_ms
    first_ms = int(split.table.timestamps_ms[len(split.past)])
    if until_ms > first_ms:
        share = float((split.table.timestamps_ms > until_ms).mean())
        raise EvaluationError(
            f"bundle {bundle.path}: has learned from events after the test period begins; give "
            f"newer events, or a --test-share of at most {np.floor(share * 1000) / 1000:g}"
        )
