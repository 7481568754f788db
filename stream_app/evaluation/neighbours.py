"""Collaborative baselines of the package `implicit`: item-KNN, last-item similarity, ALS.

They see histories as sets of items: neither order nor time. Sarwar et al. 2001 (item-KNN),
Hu, Koren and Volinsky 2008 (ALS).
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.histories import NOTHING, Histories
from stream_app.evaluation.methods import Floats
from stream_app.evaluation.protocols import Split

NEIGHBOURS = 100  # per item; on MovieLens accuracy is flat from about 50 to 200
FACTORS = 64  # as the default encoder's vectors
ITERATIONS = 15


class ItemKnn:
    """The items most similar to all that the user had, by cosine of the users they share."""

    name = "item-knn"

    def fit(self, split: Split) -> None:
        self._similarity = _similarity(split)

    def scores(self, histories: Histories) -> Floats:
        scores: Floats = (_matrix(histories) @ self._similarity).toarray()
        return scores


class LastItem:
    """The items most similar to the user's last one, by cosine of the users they share."""

    name = "last-item"

    def fit(self, split: Split) -> None:
        self._similarity = _similarity(split)
        self._similarity.setdiag(0)

    def scores(self, histories: Histories) -> Floats:
        last = histories.last_items()
        scores: Floats = self._similarity[np.maximum(last, 0)].toarray()
        scores[last == NOTHING] = 0
        return scores


class Als:
    """Matrix factorisation of who had what, by alternating least squares on implicit feedback.

    A user's factors are solved for anew from each history.
    """

    name = "als"

    def __init__(self, seed: int, threads: int) -> None:
        """`threads` of the solver; 0: all cores."""
        self._seed = seed
        self._threads = threads

    def fit(self, split: Split) -> None:
        als = _implicit("implicit.cpu.als")
        self._model = als.AlternatingLeastSquares(
            factors=FACTORS,
            iterations=ITERATIONS,
            random_state=self._seed,
            num_threads=self._threads,
        )
        past = split.past
        matrix = _sparse(past.users, past.items, (len(past.user_ids), len(past.item_ids)))
        self._model.fit(matrix, show_progress=False)
        self._unseen = np.bincount(past.items, minlength=len(past.item_ids)) == 0

    def scores(self, histories: Histories) -> Floats:
        users = self._model.recalculate_user(np.arange(len(histories)), _matrix(histories))
        scores: Floats = users @ self._model.item_factors.T
        scores[:, self._unseen] = -np.inf
        return scores


def _similarity(split: Split) -> Any:
    """Cosine similarities `[N, N]` of every item to its nearest ones, as a sparse matrix."""
    neighbours = _implicit("implicit.nearest_neighbours")
    past = split.past
    matrix = _sparse(past.users, past.items, (len(past.user_ids), len(past.item_ids)))
    model = neighbours.CosineRecommender(K=NEIGHBOURS, num_threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a conversion inside implicit itself
        model.fit(matrix, show_progress=False)
    return model.similarity.astype(np.float32)


def _matrix(histories: Histories) -> Any:
    """Which items each history holds `[B, N]`, as a sparse matrix."""
    owners, events = histories.flat()
    table = histories.log.table
    return _sparse(owners, table.items[events], (len(histories), len(table.item_ids)))


def _sparse(rows: NDArray[Any], columns: NDArray[Any], shape: tuple[int, int]) -> Any:
    sparse = _implicit("scipy.sparse")
    matrix = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    matrix.data[:] = 1  # an item had twice is one item
    return matrix


def _implicit(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise EvaluationError(
            f"item-knn, last-item and als need the package implicit ({error}): "
            "pip install 'stream-app[evaluate]'"
        ) from error
