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
MOST_WITHDRAWN = 1_000_000
"""72 MB of hashes: what a large shop takes out of its catalogue in years."""


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
        self._has_vector: NDArray[np.bool_] = np.any(self._vectors[:count], axis=1)
        self._available = np.ones(count + 1, np.bool_)
        self._popularity = np.full(count, np.nan, np.float32)
        self._available[-1] = False
        self._unavailable = 0
        self._withdrawn: set[int] = set()
        self.changes = 0
        """Grows whenever vectors, availability or popularity of items held may have changed."""

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

    @property
    def has_vector(self) -> NDArray[np.bool_]:
        """Whether the vector is not zeros, by position `[N]`; a view, good until the next item."""
        return self._has_vector[: len(self.ids)]

    @property
    def available(self) -> NDArray[np.bool_] | None:
        """What may be recommended, by position; -1 reads False. None when all of it may be."""
        return self._available if self._unavailable else None

    @property
    def popularity(self) -> Floats:
        """How popular items are said to be, float32 `[N]`; NaN where nothing is said."""
        return self._popularity[: len(self.ids)]

    def set_vectors(self, indices: Indices, vectors: Floats) -> None:
        """Replace the vectors of items `[n]` by `vectors` `[n, d]` of unit length, or zeros."""
        self._vectors[indices] = vectors
        self._has_vector[indices] = np.any(vectors, axis=1)
        self.changes += 1

    def set_popularity(self, index: int, popularity: float) -> None:
        """Say how popular an item is; NaN takes it back."""
        self._popularity[index] = popularity
        self.changes += 1

    def set_available(self, available: NDArray[np.bool_]) -> None:
        """Say of every item `[N]` whether it may be recommended."""
        self._available[: len(self.ids)] = available
        self._unavailable = len(self.ids) - int(np.count_nonzero(available))
        self.changes += 1

    def withdraw(self, item_id: str) -> None:
        """An item that is not held must not be recommended should somebody come to it later.

        Of those that nobody came to, `MOST_WITHDRAWN` are remembered.
        """
        if len(self._withdrawn) >= MOST_WITHDRAWN:
            self._withdrawn.pop()
        self._withdrawn.add(item_hash(item_id))

    def readmit(self, item_id: str) -> None:
        """Take `withdraw` back."""
        self._withdrawn.discard(item_hash(item_id))

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
        self._available[index] = not self._withdrawn or int(key[0]) not in self._withdrawn
        self._unavailable += not self._available[index]
        return index

    def _grow(self) -> None:
        """Double the capacity."""
        capacity = min(max(2 * len(self.ids), 1024), self.max_items)
        vectors = np.zeros((capacity + 1, self.dim), np.float32)
        vectors[: len(self.ids)] = self.vectors
        hashes = np.zeros(capacity, np.uint64)
        hashes[: len(self.ids)] = self.hashes
        available = np.zeros(capacity + 1, np.bool_)
        available[: len(self.ids)] = self._available[: len(self.ids)]
        has_vector = np.zeros(capacity, np.bool_)
        has_vector[: len(self.ids)] = self.has_vector
        popularity = np.full(capacity, np.nan, np.float32)
        popularity[: len(self.ids)] = self.popularity
        self._vectors, self._hashes = vectors, hashes
        self._available, self._popularity = available, popularity
        self._has_vector = has_vector


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
