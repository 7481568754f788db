"""The recall of an index against the truth: a probe for tests, benchmarks and a live metric."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.retrieval.base import ItemIndex
from stream_app.retrieval.vectors import NOTHING, indexable

Floats = NDArray[np.float32]

QUERIES_AT_ONCE = 16  # a million items: 64 MB of scores
TIE = 1e-6  # scores closer than float32 rounding are one score: either item is right


def recall(index: ItemIndex, vectors: Floats, queries: Floats, k: int) -> float:
    """Share (0..1) of the `k` nearest items of the queries `[B, d]` that `index` finds.

    `vectors` `[N, d]` are those the index was built from. An item as good as the k-th counts as
    found: among equals there is no right one.
    """
    items = vectors[indexable(vectors)]
    found, _ = index.search(queries, k)
    wanted = min(k, len(items))
    if not wanted or not len(queries):
        return 1.0
    hits = 0
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        part = slice(start, start + QUERIES_AT_ONCE)
        truth = np.partition(queries[part] @ items.T, len(items) - wanted, axis=1)
        bound = truth[:, len(items) - wanted] - TIE
        scores = np.einsum("bd,bkd->bk", queries[part], vectors[found[part]])
        hits += int(np.count_nonzero((found[part] != NOTHING) & (scores >= bound[:, None])))
    return hits / (wanted * len(queries))
