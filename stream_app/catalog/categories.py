"""Which items are of which category: pairs of a position and a category, asked as masks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

MOST_MASKS = 64
"""At a million items 64 MB."""
_GONE = -1


class Categories:
    """Use from one thread at a time."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._positions = np.empty(1024, np.int32)
        self._held = np.empty(1024, np.int32)
        self._count = 0
        self._masks: OrderedDict[tuple[str, ...], Mask] = OrderedDict()

    def set(self, position: int, names: Sequence[str], before: Sequence[str]) -> None:
        """The item at a position is of the categories `names`; it was of those in `before`."""
        if set(names) == set(before):
            return
        if before:
            mine = self._positions[: self._count] == position
            self._held[: self._count][mine] = _GONE
        for name in dict.fromkeys(names):
            if self._count == len(self._held):
                self._grow()
            self._positions[self._count] = position
            self._held[self._count] = self._codes.setdefault(name, len(self._codes))
            self._count += 1
        self._masks.clear()

    def mask(self, names: Sequence[str], size: int) -> Mask:
        """Items of any of the categories, by position `[size + 1]`, False at the end.

        The same array for the same names, until something changes.
        """
        key = tuple(sorted(set(names)))
        mask = self._masks.get(key)
        if mask is None or len(mask) != size + 1:
            codes = [self._codes[name] for name in key if name in self._codes]
            held = self._held[: self._count]
            mask = self._masks[key] = np.zeros(size + 1, np.bool_)
            mask[self._positions[: self._count][np.isin(held, codes)]] = True
            if len(self._masks) > MOST_MASKS:
                self._masks.popitem(last=False)
        self._masks.move_to_end(key)
        return mask

    def _grow(self) -> None:
        """Leave out what is gone, and double what is left."""
        alive = self._held[: self._count] != _GONE
        self._count = int(np.count_nonzero(alive))
        for name in ("_positions", "_held"):
            kept = getattr(self, name)[: len(alive)][alive]
            larger = np.empty(max(1024, 2 * len(kept)), np.int32)
            larger[: len(kept)] = kept
            setattr(self, name, larger)
