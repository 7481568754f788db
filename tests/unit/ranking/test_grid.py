"""Sums by item and row, read back at any cells."""

from __future__ import annotations

import numpy as np
import pytest

from stream_app.ranking import grid as module
from stream_app.ranking.grid import Grid


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_sums_do_not_depend_on_the_chunks_and_leave_nothing(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(module, "ROWS_AT_LEAST", at_once)
    monkeypatch.setattr(module, "MAX_SUMS", 1)
    random = np.random.default_rng(0)
    grid = Grid()
    for rows, items in ((5, 7), (3, 9), (6, 9)):
        grid.fit(rows, items)
        added = random.integers(-1, items, (rows, 20)).astype(np.int32)
        values = random.random((rows, 20), np.float32)
        wanted = random.integers(0, items, (rows, 8)).astype(np.int32)
        expected = np.zeros((rows, 8))
        for row in range(rows):
            by_item = np.bincount(added[row] + 1, values[row], items + 1)
            expected[row] = by_item[wanted[row] + 1]
        got = grid.sums(added, values, grid.cells(wanted))
        np.testing.assert_allclose(got, expected, rtol=1e-5)
