"""Ratios of sums over users, and how far chance may have moved them.

The variance is the linearised one of a ratio estimator over clusters (Cochran, Sampling Techniques,
1977, chapter 6; the delta method of Deng, Knoblich and Lu, KDD 2018): what one user does is alike,
so items must not be taken for independent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec
import numpy as np

NORMAL = 1.96
"""Half the width of a 95 % interval in standard errors."""
_ROUNDING = 1e-12

K = TypeVar("K", bound=Hashable)


class Rate(msgspec.Struct, frozen=True):
    """A share with its 95 % interval; bounds are null where there is one user or none."""

    value: float | None
    low: float | None
    high: float | None


class Estimate(NamedTuple):
    """A ratio and its standard error; NaN where it cannot be known."""

    value: float
    error: float


class Clusters(Generic[K]):
    """Sums over users of columns of numbers, and of their products, by key.

    That is all that a ratio of two columns and its variance need.
    """

    def __init__(self, columns: int) -> None:
        """Every row that is added has so many numbers."""
        self._columns = columns
        self._sums: dict[K, np.ndarray] = {}
        self._products: dict[K, np.ndarray] = {}
        self._users: Counter[K] = Counter()

    def add(self, key: K, rows: Sequence[float] | Sequence[Sequence[float]]) -> None:
        """The numbers of one user `[columns]`, or of several `[n, columns]`.

        No user is added to a key twice.
        """
        values = np.atleast_2d(np.array(rows, np.float64))
        if key not in self._sums:
            self._sums[key] = np.zeros(self._columns)
            self._products[key] = np.zeros((self._columns, self._columns))
        self._sums[key] += values.sum(axis=0)
        self._products[key] += values.T @ values
        self._users[key] += len(values)

    def keys(self) -> list[K]:
        """All keys, in the order in which they came."""
        return list(self._sums)

    def sums(self, key: K) -> np.ndarray:
        """The columns of a key, summed over users; zeros where nothing was added."""
        return self._sums.get(key, np.zeros(self._columns))

    def users(self, key: K) -> int:
        """How many users a key has."""
        return self._users[key]

    def ratio(self, key: K, column: int, per: int) -> Estimate:
        """Sum of `column` by sum of `per`."""
        sums, users = self.sums(key), self._users[key]
        if not sums[per]:
            return Estimate(float("nan"), float("nan"))
        value = float(sums[column] / sums[per])
        if users < 2:
            return Estimate(value, float("nan"))
        products = self._products[key]
        residual = (
            products[column, column]
            - 2 * value * products[column, per]
            + value**2 * products[per, per]
        )
        if residual < _ROUNDING * products[column, column]:
            residual = 0.0  # all users are alike; what is left is of floating point
        variance = float(residual) * users / (users - 1)
        return Estimate(value, float(variance**0.5 / sums[per]))


def interval(estimate: Estimate) -> Rate:
    """The 95 % interval of a share; it does not reach below 0."""
    value, error = estimate
    if value != value:
        return Rate(None, None, None)
    if error != error:
        return Rate(value, None, None)
    return Rate(value, max(0.0, value - NORMAL * error), value + NORMAL * error)


def in_percent(rate: Rate) -> str:
    """A share with its interval, for people."""
    if rate.value is None:
        return "-"
    if rate.low is None or rate.high is None:
        return f"{rate.value:.2%}"
    return f"{rate.value:.2%} [{rate.low:.2%}, {rate.high:.2%}]"
