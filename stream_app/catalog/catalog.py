"""The items that can be recommended: identifier, hash and vector, by position.

A position (index) is given once and stays: rows are only appended, so arrays kept beside the
catalogue (counts, masks) can be addressed by it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog.hashtable import Hashes, HashTable, Indices
from stream_app.users.ids import item_hash

Floats = NDArray[np.float32]

# Room above the release for items first seen in the stream, when the caller sets no bound: some
# 40 MB at 64 dimensions, and far more than a shop adds between two releases.
ROOM_FOR_NEW_ITEMS = 100_000
UNKNOWN = -1


class Catalog:
    """Items by position: `ids`, `hashes` uint64 `[N]` and `vectors` float32 `[N, d]`.

    A row of zeros is an item without a vector: transitions and trends can still propose it. User
    histories hold item hashes (`stream_app.users.ids.item_hash`), hence `lookup`. Safe to use
    from one thread at a time.
    """

    def __init__(
        self, ids: Sequence[str], vectors: NDArray[np.floating], max_items: int | None = None
    ) -> None:
        """Hold `ids` with `vectors` `[N, d]` (row order = position) and at most `max_items` items.

        Raises `ValueError` when rows and identifiers do not match, an identifier is repeated, or
        two identifiers share one hash.
        """
        count = len(ids)
        if vectors.ndim != 2 or len(vectors) != count:
            raise ValueError(f"{count} items need vectors [{count}, d], got {list(vectors.shape)}")
        self.max_items = count + ROOM_FOR_NEW_ITEMS if max_items is None else max_items
        if count > self.max_items:
            raise ValueError(f"{count} items are more than max_items={self.max_items}; raise it")
        self.ids = list(ids)
        self._index = {item_id: index for index, item_id in enumerate(self.ids)}
        if len(self._index) != count:
            raise ValueError(f"item {_first_repeated(self.ids)!r} is in the catalogue twice")
        self._hashes = np.fromiter(map(item_hash, self.ids), np.uint64, count)
        _refuse_colliding(self.ids, self._hashes)
        self._table = HashTable(count)
        self._table.add(self._hashes, np.arange(count, dtype=np.int32))
        # One row more than the capacity, always zeros: index -1 reads it, so that a gather needs
        # no mask for unknown items.
        self._vectors = np.zeros((count + 1, vectors.shape[1]), np.float32)
        self._vectors[:count] = vectors

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        """`d`, the size of an item vector."""
        return int(self._vectors.shape[1])

    @property
    def hashes(self) -> Hashes:
        """Item hashes by position, uint64 `[N]`; a view, good until the next item."""
        return self._hashes[: len(self.ids)]

    @property
    def vectors(self) -> Floats:
        """Item vectors by position, float32 `[N, d]`; a view, good until the next item."""
        return self._vectors[: len(self.ids)]

    def index_of(self, item_id: str) -> int:
        """Position of an item, or -1."""
        return self._index.get(item_id, UNKNOWN)

    def lookup(self, hashes: Hashes) -> Indices:
        """Positions of item hashes, int32 in the shape of `hashes`; -1 where unknown."""
        return self._table.get(hashes)

    def vectors_of(self, indices: NDArray[np.integer]) -> Floats:
        """Gather item vectors `[..., d]` float32 of positions; zeros for -1."""
        return self._vectors.take(indices, axis=0)

    def index_or_add(self, item_id: str) -> int:
        """Position of an item, which is added without a vector if it is new.

        Returns -1 when the catalogue is full, or when the hash of the new identifier is that of
        another item (the histories could not tell the two apart).
        """
        index = self._index.get(item_id)
        if index is not None:
            return index
        index = len(self.ids)
        key = np.array([item_hash(item_id)], np.uint64)
        if index >= self.max_items or key[0] == 0 or self._table.get(key)[0] != UNKNOWN:
            return UNKNOWN
        if index + 1 >= len(self._vectors):
            self._grow()
        self._table.add(key, np.array([index], np.int32))
        self._hashes[index] = key[0]
        self._index[item_id] = index
        self.ids.append(item_id)
        return index

    def _grow(self) -> None:
        """Double the capacity."""
        capacity = min(max(2 * len(self.ids), 1024), self.max_items)
        vectors = np.zeros((capacity + 1, self.dim), np.float32)
        vectors[: len(self.ids)] = self.vectors
        hashes = np.zeros(capacity, np.uint64)
        hashes[: len(self.ids)] = self.hashes
        self._vectors, self._hashes = vectors, hashes


def _first_repeated(ids: Sequence[str]) -> str:
    seen: set[str] = set()
    for item_id in ids:
        if item_id in seen:
            return item_id
        seen.add(item_id)
    raise AssertionError("no identifier is repeated")


def _refuse_colliding(ids: Sequence[str], hashes: Hashes) -> None:
    """Raise `ValueError` if two items share a hash (with 2 million: one chance in 10 million)."""
    order = np.argsort(hashes)
    ordered = hashes[order]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    if same.size:
        one, other = (ids[int(order[same[0] + step])] for step in (0, 1))
        raise ValueError(f"items {one!r} and {other!r} have the same 64-bit hash; rename one")
    if ordered.size and ordered[0] == 0:
        raise ValueError(f"item {ids[int(order[0])]!r} hashes to 0, which is reserved; rename it")
