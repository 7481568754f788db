"""Item vectors by which the diversity of lists is measured: the same ones for every method.

They come from the data and never from a method under test, which would judge itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stream_app.datasets import EventTable

DIMENSIONS = 128  # a cosine is then off by 0.09 (one standard deviation), a list's mean by far less


def by_categories(
    item_ids: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> NDArray[np.float32]:
    """Unit vectors `[N, categories]` of which categories each item has; zeros without any."""
    names = sorted({name for item in item_ids for name in categories.get(item, ())})
    columns = {name: at for at, name in enumerate(names)}
    vectors = np.zeros((len(item_ids), max(len(names), 1)), np.float32)
    for row, item in enumerate(item_ids):
        for name in categories.get(item, ()):
            vectors[row, columns[name]] = 1
    return _unit(vectors)


def by_users(past: EventTable, seed: int) -> NDArray[np.float32]:
    """Unit vectors `[N, DIMENSIONS]` whose cosines are about those of who had the items.

    A random projection with signs (Achlioptas 2003) of the item-user matrix, made a dimension at a
    time, so that memory does not grow with users times items.
    """
    pairs = np.unique(past.users.astype(np.int64) * len(past.item_ids) + past.items)
    users, items = np.divmod(pairs, max(len(past.item_ids), 1))
    random = np.random.default_rng(seed)
    vectors = np.empty((len(past.item_ids), DIMENSIONS), np.float32)
    for column in range(DIMENSIONS):
        signs = random.choice(np.array([-1.0, 1.0]), len(past.user_ids))
        vectors[:, column] = np.bincount(items, signs[users], minlength=len(past.item_ids))
    return _unit(vectors)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
