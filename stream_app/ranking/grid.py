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

# 5 bytes a cell: small enough to stay in a cache of a core, which is where the grid is fast.
CELLS_IN_CACHE = 500_000
# But a chunk costs some 100 us whatever its size, so not fewer users than these at once.
ROWS_AT_LEAST = 16


class Grid:
    """Cells `[rows, 1 + items]`; column 0 takes what belongs to no item (position -1)."""

    def __init__(self) -> None:
        self._base: Cells = np.zeros((0, 1), np.int64)
        self.marks: NDArray[np.uint8] = np.zeros(0, np.uint8)
        """A bit set for each cell; zero between two uses."""
        self.values: Floats = np.zeros(0, np.float32)
        """A sum for each cell; zero between two uses."""

    def rows_at_once(self, items: int) -> int:
        """How many users to rank together with a catalogue of this size.

        A million items make a grid of 80 MB.
        """
        return max(ROWS_AT_LEAST, CELLS_IN_CACHE // (items + 1))

    def fit(self, rows: int, items: int) -> None:
        """Lay the grid out for this many users and items."""
        cells = rows * (items + 1)
        if cells > len(self.marks):
            self.marks = np.zeros(cells, np.uint8)
            self.values = np.zeros(cells, np.float32)
        self._base = (np.arange(rows, dtype=np.int64) * (items + 1) + 1)[:, None]

    def cells(self, items: Indices) -> Cells:
        """Where the items `[R or 1, m]` of each row lie in the flat arrays: `[R, m]`."""
        return self._base + items

    def pairs(self, rows: Rows, items: Indices) -> Cells:
        """Where pairs of a row and an item `[n]` lie: `[n]`."""
        return self._base[:, 0].take(rows) + items

    def nowhere(self) -> Cells:
        """The cells of column 0, `[R, 1]`."""
        return self._base - 1
