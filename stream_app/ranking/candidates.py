"""Candidates of a chunk of users: what the sources proposed, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.ranking.batch import Floats, Indices, UserBatch
from stream_app.ranking.grid import Cells, Grid


@dataclass(frozen=True, slots=True)
class Proposal:
    """Items that one source proposes, no item twice in a row."""

    items: Indices
    """Catalogue positions `[R, m]`, or `[1, m]` for the same items to all; -1 is no item."""
    affinity: Floats | None = None
    """Inner product of user and item vectors `[R, m]`, if the source knows it already."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates of `R` users in `C` columns."""

    users: UserBatch
    grid: Grid
    proposals: list[Proposal]
    """In the order of their columns."""
    items: Indices
    """Catalogue positions `[R, C]`."""
    cells: Cells
    """Where they lie in the grid `[R, C]`."""
    open: NDArray[np.bool_]
    """False `[R, C]` for padding, a forbidden item, and a second proposal of the same item."""

    def columns(self) -> Iterator[tuple[slice, Proposal]]:
        """The proposals with the columns that they fill."""
        start = 0
        for proposal in self.proposals:
            stop = start + proposal.items.shape[1]
            yield slice(start, stop), proposal
            start = stop


@dataclass(frozen=True, slots=True)
class Ranking:
    """Items with scores, in `W` columns; best first once a reranker has ordered them."""

    items: Indices
    """`[R, W]`; -1 where there is none."""
    scores: Floats
    """`[R, W]`; -inf where there is none."""
    propensities: NDArray[np.float64] | None = None
    """With which probability the item came to its place `[R, W]`; NaN in a row, and None, where
    nothing was drawn. A reranker that moves items after a draw has to keep them."""
