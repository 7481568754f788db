"""Rates with intervals from counts by user: a ratio of sums, with users as the clusters.

The variance is the linearised one of a ratio estimator over clusters (Cochran, Sampling Techniques,
1977, chapter 6): clicks of one user are alike, so items must not be taken for independent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np

from stream_app.attribution.join import ALL, BOUGHT, CLICKED, DIMENSIONS, MADE, RANK, SHOWN, Key

NORMAL = 1.96
"""Half the width of a 95 % interval in standard errors."""


class Rate(msgspec.Struct, frozen=True):
    """A share with its 95 % interval; bounds are null where there is one user or none."""

    value: float | None
    low: float | None
    high: float | None


class Row(msgspec.Struct, frozen=True):
    """What happened to the items of lists of one kind."""

    dimension: str
    """`all`, `source`, `rank`, `release` or `arm`."""
    name: str
    made: int
    """Items in lists."""
    shown: int
    clicked: int
    bought: int
    click_rate: Rate
    """Clicked items per shown item; per item made, where no impressions were sent."""
    purchase_rate: Rate


class Report(msgspec.Struct, frozen=True):
    """The answer of `stream-app attribution`."""

    since_ms: int
    until_ms: int
    lists: int
    users: int
    per: str
    """`shown` or `made`: what the rates are of."""
    rows: list[Row]
    unmatched: dict[str, int]
    """Feedback that was joined to no list, by why."""
    rejected: int
    """Records that are no messages."""


class Totals:
    """Sums over users of counts, and of their products: all that a ratio and its variance need."""

    def __init__(self) -> None:
        self.users = 0
        self._sums: dict[Key, np.ndarray] = {}
        self._products: dict[Key, np.ndarray] = {}
        self._with: Counter[Key] = Counter()

    def add(self, users: Iterable[dict[Key, list[int]]]) -> None:
        """Add the counts of users."""
        for counts in users:
            self.users += 1
            for key, row in counts.items():
                values = np.array(row, np.float64)
                if key not in self._sums:
                    self._sums[key] = np.zeros(4)
                    self._products[key] = np.zeros((4, 4))
                self._sums[key] += values
                self._products[key] += values[:, None] * values
                self._with[key] += 1

    def per(self) -> int:
        """The column that rates are of."""
        sums = self._sums.get((ALL, ""))
        return SHOWN if sums is not None and sums[SHOWN] else MADE

    def rows(self) -> list[Row]:
        """One row for each key, by dimension, the largest first, ranks in order."""
        per = self.per()
        keys = sorted(self._sums, key=lambda key: (DIMENSIONS.index(key[0]), *self._place(key)))
        return [self._row(key, per) for key in keys]

    def _place(self, key: Key) -> tuple[float, str]:
        dimension, name = key
        return (float(name) if dimension == RANK else -self._sums[key][MADE], name)

    def _row(self, key: Key, per: int) -> Row:
        made, shown, clicked, bought = (int(value) for value in self._sums[key])
        rates = (self._rate(key, column, per) for column in (CLICKED, BOUGHT))
        return Row(*key, made, shown, clicked, bought, *rates)

    def _rate(self, key: Key, column: int, per: int) -> Rate:
        sums, products, users = self._sums[key], self._products[key], self._with[key]
        if not sums[per]:
            return Rate(None, None, None)
        value = float(sums[column] / sums[per])
        if users < 2:
            return Rate(value, None, None)
        residual = (
            products[column, column]
            - 2 * value * products[column, per]
            + value**2 * products[per, per]
        )
        variance = max(0.0, float(residual)) * users / (users - 1)
        error = NORMAL * variance**0.5 / float(sums[per])
        return Rate(value, max(0.0, value - error), value + error)
