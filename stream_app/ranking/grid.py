"""Scratch memory with one cell for each user of a chunk and item of the catalogue.

Sets of items (what is forbidden, who proposed what) are written into the grid and read back by
position, which costs a nanosecond or two an entry where sorting or hashing costs twenty. Only the
cells that were written are cleared, so the cost follows the candidates, not the catalogue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.ranking.batch import Floats, Indices, Rows

Cells = NDArray[np.int64]

# 32 MB of marks: 2,000 users at 8,000 items, 16 at a million.
MAX_MARKS = 16_000_000
# 2 MB of sums: adding at random places is twice as fast where it stays in a core's cache.
MAX_SUMS = 500_000
# A chunk costs some 20 us whatever its size, so at the largest catalogues not a user at a time.
ROWS_AT_LEAST = 8


class Grid:
    """Cells `[rows, 1 + items]`; column 0 takes what belongs to no item (position -1)."""

    def __init__(self) -> None:
        self._width = 1
        self._base: Cells = np.zeros((0, 1), np.int64)
        self._sums: Floats = np.zeros(0, np.float32)
        self.marks: NDArray[np.uint16] = np.zeros(0, np.uint16)
        """A bit set for each cell; who writes it clears it."""

    def rows_at_once(self, items: int) -> int:
        """How many users to rank together with a catalogue of this size."""
        return max(ROWS_AT_LEAST, MAX_MARKS // (items + 1))

    def fit(self, rows: int, items: int) -> None:
        """Lay the grid out for this many users and items."""
        self._width = items + 1
        cells = rows * self._width
        if cells > len(self.marks):
            self.marks = np.zeros(cells + cells // 4, np.uint16)
        self._base = (np.arange(rows, dtype=np.int64) * self._width + 1)[:, None]

    def reset(self) -> None:
        """Forget everything, as after a stage that failed between writing and clearing."""
        self._sums = np.zeros(0, np.float32)
        self.marks = np.zeros(0, np.uint16)

    def cells(self, items: Indices) -> Cells:
        """Where the items `[R or 1, m]` of each row lie in the flat arrays: `[R, m]`."""
        return self._base + items

    def pairs(self, rows: Rows, items: Indices) -> Cells:
        """Where pairs of a row and an item `[n]` lie: `[n]`."""
        return self._base[:, 0].take(rows) + items

    def nowhere(self) -> Cells:
        """The cells of column 0, `[R, 1]`."""
        return self._base - 1

    def sums(self, items: Indices, values: Floats, wanted: Cells) -> Floats:
        """Add up `values` `[R, m]` by their `items` `[R, m]` and return the sums at `wanted`.

        `wanted` are cells `[R, C]`; so is the result, float32.
        """
        found = np.empty(wanted.shape, np.float32)
        step = max(ROWS_AT_LEAST, MAX_SUMS // self._width)
        if step * self._width > len(self._sums):
            self._sums = np.zeros(step * self._width, np.float32)
        for first in range(0, len(items), step):
            rows, start = slice(first, first + step), first * self._width
            added = (self._base[rows] - start + items[rows]).ravel()
            np.add.at(self._sums, added, values[rows].ravel())
            np.take(self._sums, wanted[rows] - start, out=found[rows], mode="clip")
            self._sums[added] = 0.0
        return found
