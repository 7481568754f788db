"""Finds catalogue items by the four bytes under which rows remember items they have seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.catalog.hashtable import HashTable

_FLAG_BITS = np.uint32(1)


class SeenIndex:
    """Catalogue positions by `UserState.seen` entry; follows the catalogue as it grows.

    31 bits of a hash are enough to keep a user from being shown an item twice: of a million items
    some 200 share them with another, and then the one that came later is shown again.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._table = HashTable(len(catalog))
        self._size = 0
        self._follow()

    def lookup(self, entries: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Positions of entries `[n]`, -1 where the catalogue does not hold the item."""
        if self._size < len(self._catalog):
            self._follow()
        return self._table.get(_key(entries))

    def _follow(self) -> None:
        """Add the items that joined the catalogue."""
        positions = np.arange(self._size, len(self._catalog), dtype=np.int32)
        keys = _key(self._catalog.hashes[self._size :].astype(np.uint32))
        keys, firsts = np.unique(keys, return_index=True)
        new = (self._table.get(keys) < 0) & (keys != 0)  # the table reserves 0
        self._table.add(keys[new], positions[firsts[new]])
        self._size = len(self._catalog)


def _key(entries: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Without the flag: the low bits of a key choose its slot."""
    return (entries >> _FLAG_BITS).astype(np.uint64)
