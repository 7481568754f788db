"""A hash table from 64-bit keys to row numbers that answers a whole array of keys at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int32]

# At most a quarter of the slots is taken: three of four keys then sit in their first slot, so a
# batch of look-ups is done after one or two gathers. A slot costs 12 bytes.
SLOTS_PER_KEY = 4
SMALLEST_TABLE = 1024
EMPTY = 0


class HashTable:
    """Open addressing with linear probing; keys are uniform hashes, 0 is reserved for "empty".

    The low bits of a key are its first slot: the keys are cryptographic hashes already, mixing
    them again would only cost time. Not safe for a reader beside a writer.
    """

    def __init__(self, capacity: int = 0) -> None:
        self._length = 0
        self._allocate(capacity)

    def __len__(self) -> int:
        return self._length

    def get(self, keys: Hashes) -> Indices:
        """Return the value of every key, -1 where it is unknown; int32 in the shape of `keys`."""
        flat = keys.reshape(-1)
        slots = (flat & self._mask).view(np.int64)
        held = self._keys[slots]
        values = self._values[slots]
        pending = np.flatnonzero((held != flat) & (held != EMPTY))
        slots = slots[pending]
        while pending.size:
            slots = (slots + 1) & int(self._mask)
            wanted, held = flat[pending], self._keys[slots]
            values[pending] = self._values[slots]
            still = (held != wanted) & (held != EMPTY)
            pending, slots = pending[still], slots[still]
        return values.reshape(keys.shape)

    def add(self, keys: Hashes, values: Indices) -> None:
        """Add new keys `[n]`; the caller has made sure that none is held, 0 or repeated."""
        needed = self._length + keys.size
        if needed * SLOTS_PER_KEY > self._keys.size:
            taken = self._keys != EMPTY
            keys = np.concatenate([self._keys[taken], keys])
            values = np.concatenate([self._values[taken], values])
            self._allocate(needed * 2)
        self._length = needed
        if keys.size == 1:
            self._place_one(int(keys[0]), int(values[0]))
        else:
            self._place(keys, values)

    def _allocate(self, capacity: int) -> None:
        size = SMALLEST_TABLE
        while size < capacity * SLOTS_PER_KEY:
            size *= 2
        self._keys = np.zeros(size, np.uint64)
        self._values = np.full(size, -1, np.int32)
        self._mask = np.uint64(size - 1)

    def _place_one(self, key: int, value: int) -> None:
        mask = int(self._mask)
        slot = key & mask
        while self._keys[slot] != EMPTY:
            slot = (slot + 1) & mask
        self._keys[slot] = key
        self._values[slot] = value

    def _place(self, keys: Hashes, values: Indices) -> None:
        """Place many keys in rounds: of those that want one free slot, one gets it."""
        mask = int(self._mask)
        slots = (keys & self._mask).view(np.int64)
        while keys.size:
            free = self._keys[slots] == EMPTY
            self._keys[slots[free]] = keys[free]
            won = free & (self._keys[slots] == keys)
            self._values[slots[won]] = values[won]
            lost = ~won
            keys, values, slots = keys[lost], values[lost], (slots[lost] + 1) & mask
