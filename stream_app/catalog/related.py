"""The items that producers say go with an item, by position.

A related item may join the catalogue later, or never: its hash is kept, and looked up again when
items have joined.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog.catalog import UNKNOWN, Catalog
from stream_app.users.ids import item_hash

MOST = 32
"""Related items kept of an item, the first that are named: more than a list has room for."""

_NO_ITEM = 0  # no item hashes to it


class RelatedItems:
    """Related items int32 `[S, MOST]` of the `S` items that have some; from one thread at a time.

    400 bytes for each of them; four for every other item of the catalogue.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._slots: NDArray[np.int32] = np.zeros(0, np.int32)  # 0 for an item that has none
        self._used = 1  # the first slot stays empty
        self._hashes = np.full((1, MOST), _NO_ITEM, np.uint64)
        self._positions = np.full((1, MOST), UNKNOWN, np.int32)
        self._free: list[int] = []
        self._resolved = 0

    def __len__(self) -> int:
        """Number of items that have related ones."""
        return self._used - 1 - len(self._free)

    def say(self, index: int, item_ids: Sequence[str]) -> None:
        """Keep what goes with the item at a position, in place of what was said before."""
        if index >= len(self._slots):
            if not item_ids:
                return
            more = np.zeros(index + 1 + len(self._slots) // 2, np.int32)
            self._slots = np.concatenate([self._slots, more])
        slot = int(self._slots[index])
        if not item_ids:
            if slot:
                self._hashes[slot], self._positions[slot] = _NO_ITEM, UNKNOWN
                self._free.append(slot)
                self._slots[index] = 0
            return
        if not slot:
            slot = self._slots[index] = self._free.pop() if self._free else self._new_slot()
        hashes = [item_hash(item_id) for item_id in dict.fromkeys(item_ids[:MOST])]
        self._hashes[slot] = hashes + [_NO_ITEM] * (MOST - len(hashes))
        self._positions[slot] = self._catalog.lookup(self._hashes[slot])

    def of(self, items: NDArray[np.int32]) -> NDArray[np.int32]:
        """Positions `[..., MOST]` of what goes with items `[...]`, in the order of the producer.

        -1 for padding, for an item that the catalogue does not hold, and past the end.
        """
        self._resolve()
        if not len(self._slots):
            return np.full((*items.shape, MOST), UNKNOWN, np.int32)
        known = (items >= 0) & (items < len(self._slots))
        slots = np.where(known, self._slots.take(items, mode="clip"), np.int32(0))
        return self._positions.take(slots, axis=0)

    def _new_slot(self) -> int:
        if self._used == len(self._hashes):
            shape = max(64, self._used), MOST
            self._hashes = np.concatenate([self._hashes, np.full(shape, _NO_ITEM, np.uint64)])
            self._positions = np.concatenate([self._positions, np.full(shape, UNKNOWN, np.int32)])
        self._used += 1
        return self._used - 1

    def _resolve(self) -> None:
        """Look up again what was not held, once items have joined."""
        if self._resolved == len(self._catalog):
            return
        self._resolved = len(self._catalog)
        waiting = (self._positions == UNKNOWN) & (self._hashes != _NO_ITEM)
        self._positions[waiting] = self._catalog.lookup(self._hashes[waiting])
