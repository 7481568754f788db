"""Items that differ from those above them: maximal marginal relevance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.ranking.batch import NONE, Floats, UserBatch
from stream_app.ranking.candidates import Ranking


class Diverse:
    """The `k` items that are best when an item loses `strength` nats for being like one above it.

    Maximal marginal relevance (Carbonell and Goldstein 1998): place after place goes to the item
    with the highest score minus `strength` times its cosine with the most similar item above. Their
    lambda is `1 / (1 + strength)`. A cosine below 0 counts as 0: nothing is gained by being the
    opposite. An item without a vector is like nothing and unlike nothing: nobody loses by it, and
    it loses as much as the others do in the mean. Ties go to the earlier column.
    """

    name = "diverse"

    def __init__(self, catalog: Catalog, strength: float, k: int) -> None:
        self._catalog = catalog
        self._strength = np.float32(strength)
        self._k = k

    def rerank(self, ranking: Ranking, users: UserBatch) -> Ranking:
        """Return at most `k` columns in order; the scores stay what they were."""
        vectors = self._catalog.vectors_of(ranking.items)
        stranger = np.asarray(~vectors.any(axis=2), np.bool_)
        left, nearest = ranking.scores.copy(), np.zeros_like(ranking.scores)
        rows = np.arange(len(left))
        count = min(self._k, left.shape[1])
        items = np.empty((len(left), count), np.int32)
        scores = np.empty((len(left), count), np.float32)
        for place in range(count):
            loss = _fair(nearest, stranger, left) * self._strength
            best = (left - loss).argmax(axis=1)
            items[:, place] = ranking.items[rows, best]
            scores[:, place] = left[rows, best]
            left[rows, best] = -np.inf
            alike = np.matmul(vectors, vectors[rows, best][:, :, None])[:, :, 0]
            np.maximum(nearest, alike, out=nearest)
        return Ranking(np.where(scores == -np.inf, np.int32(NONE), items), scores)


def _fair(nearest: Floats, stranger: NDArray[np.bool_], left: Floats) -> Floats:
    """`nearest` `[R, W]`, with the mean of the others that are left for each stranger."""
    if not stranger.any():
        return nearest
    others = ~stranger & (left > -np.inf)
    total = nearest.sum(axis=1, where=others, keepdims=True)
    count = np.maximum(others.sum(axis=1, keepdims=True), 1)
    return np.where(stranger, total / count, nearest).astype(np.float32)
