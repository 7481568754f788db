"""Approximate search for large catalogues: a navigable small-world graph (hnswlib).

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs", 2016.
"""

from __future__ import annotations

import hnswlib
import numpy as np
from numpy.typing import NDArray

from stream_app.retrieval.exact import ExactIndex
from stream_app.retrieval.vectors import NOTHING, answerable, indexable

Floats = NDArray[np.float32]

LINKS = 16  # M: hnswlib's usual choice for 64 to 128 dimensions; 8 loses recall, 32 doubles memory
EF_CONSTRUCTION = 200  # width of the search that finds a new item's links
SEED = 20_160_320
# Width of a search, in multiples of k. 50,000 unit vectors of 64 dimensions, recall at k = 128 for
# multiples 1, 2, 3: 0.993, 0.998, 0.999 in loose clusters and 0.68, 0.84, 0.91 where there are
# hardly any, at 1, 1.7 and 2.8 times the cost.
EF_PER_RESULT = 2
SMALLEST_EF = 64  # recall at k = 10: 0.998, against 0.989 at 32


class HnswIndex:
    """Nearly the nearest items. Use from one thread at a time; the build is deterministic."""

    kind = "hnsw"

    def __init__(self, vectors: Floats) -> None:
        """Hold the rows of `[N, d]` that are not zeros; `ValueError` unless of unit length.

        Takes about 0.2 ms per item: one thread, since links made by several depend on their race.
        """
        self._vectors = vectors
        positions = indexable(vectors)
        self._count = len(positions)
        self._graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self._graph.init_index(
            max_elements=max(self._count, 1),
            M=LINKS,
            ef_construction=EF_CONSTRUCTION,
            random_seed=SEED,
        )
        self._graph.set_num_threads(1)
        if self._count:
            self._graph.add_items(vectors[positions], positions, num_threads=1)

    def __len__(self) -> int:
        return self._count

    def search(self, vectors: Floats, k: int) -> tuple[NDArray[np.int32], Floats]:
        """The `k` nearest items `[B, k]`; nothing for a query of zeros. See `ItemIndex.search`."""
        positions = np.full((len(vectors), k), NOTHING, np.int32)
        scores = np.full((len(vectors), k), -np.inf, np.float32)
        rows = np.flatnonzero(answerable(vectors))
        found = min(k, self._count)
        if rows.size and found > 0:
            positions[rows, :found], scores[rows, :found] = self._query(vectors[rows], found)
        return positions, scores

    def _query(self, queries: Floats, k: int) -> tuple[NDArray[np.int32], Floats]:
        self._graph.set_ef(max(EF_PER_RESULT * k, SMALLEST_EF))
        try:
            labels, distances = self._graph.knn_query(queries, k=k, num_threads=1)
        except RuntimeError:
            # The graph reached fewer than k items for one of the queries (hnswlib cannot say
            # which): many equal vectors can cut a graph in pieces. Rare, so slow is fine.
            return ExactIndex(self._vectors).search(queries, k)
        positions, scores = labels.astype(np.int32), np.float32(1) - distances
        # hnswlib leaves equal scores in any order: the lower position comes first.
        order = np.lexsort((positions, -scores), axis=1)
        return np.take_along_axis(positions, order, 1), np.take_along_axis(scores, order, 1)
