"""What became of candidates, counted a batch at a time: proposed, kept out, weighed, listed.

Candidates are some hundred times as many as places of lists, and to count them all would cost more
than it tells. Of one batch in `EVERY` they are counted, and count so many times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stream_app.ranking.batch import NONE
from stream_app.ranking.candidates import Pool, Proposal

EVERY = 16
_TURN = 0.6180339887498949  # the golden ratio: what is counted falls in step with nothing

UNAVAILABLE, NOT_ALLOWED = "unavailable", "rules"
"""Beside the names of filters: what the catalogue keeps out, and what the terms of a batch do."""


class Funnel:
    """Counts since the start. One thread counts; others may copy what it has counted.

    Places of lists are counted all, candidates by a sample.
    """

    def __init__(self, every: int = EVERY) -> None:
        """Candidates of one batch in `every` are counted."""
        self._every = every
        self._turn = 0.0
        self.proposed: Counter[str] = Counter()
        """Candidates by the source that proposed them."""
        self.kept_out: Counter[str] = Counter()
        """Different candidates by what kept them out; two filters may both keep one out."""
        self.weighed = 0
        """Different candidates that nothing kept out."""
        self.listed: dict[str, float] = {}
        """Places of lists by source; a place that several proposed belongs to each in part."""

    def is_due(self) -> bool:
        """Whether candidates of the next batch are to be counted; those of the first are."""
        turn, self._turn = self._turn, (self._turn + _TURN) % 1.0
        return turn * self._every < 1.0

    def propose(
        self, sources: Sequence[str], proposals: Sequence[Sequence[Proposal]], pool: Pool
    ) -> None:
        """These sources have proposed what is in the pool, in this order."""
        by_column = np.add.reduce(pool.items != NONE, axis=0, dtype=np.int64)
        widths = [sum(one.items.shape[1] for one in some) for some in proposals]
        before = np.concatenate([[0], np.cumsum(by_column)])
        counts = np.diff(before[np.cumsum([0, *widths])])
        for name, count in zip(sources, counts.tolist(), strict=True):
            self.proposed[name] += count * self._every

    def keep_out(self, name: str, count: int) -> None:
        """So many candidates more were kept out by this."""
        self.kept_out[name] += count * self._every

    def weigh(self, count: int) -> None:
        """So many candidates more were kept out by nothing."""
        self.weighed += count * self._every

    def place(self, sources: Sequence[str], marks: NDArray[np.uint16]) -> None:
        """So many places more: `marks` `[n]` are as `Ranked.sources`, over `sources`."""
        counts = np.bincount(marks)
        parts = counts @ _parts(len(sources))[: len(counts)]
        for name, part in zip(sources, parts.tolist(), strict=True):
            self.listed[name] = self.listed.get(name, 0.0) + part


@lru_cache(maxsize=16)
def _parts(sources: int) -> NDArray[np.float64]:
    """Which part of a place belongs to each of so many sources `[2 ** S, S]`, by its marks."""
    proposed = np.arange(1 << sources)[:, None] >> np.arange(sources) & 1
    parts: NDArray[np.float64] = proposed / np.maximum(1, proposed.sum(axis=1, keepdims=True))
    return parts
