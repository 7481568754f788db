"""Confidence intervals by drawing users anew: the percentile bootstrap, clustered by user.

Users are what varies between one test and the next, and the questions of one user are alike, so
users are drawn and not questions (Efron and Tibshirani 1993; Sakai 2006 for rankings). All figures
share the draws: a difference between two methods is paired, as both see the same users.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

REPLICATES = 1_000
LEVEL = 0.95
BLOCK_WEIGHTS = 8_000_000  # counts drawn at a time, in numbers: 64 MB


class Sums(NamedTuple):
    """A mean over questions, as sums over each user's: what a draw of users needs to make it."""

    totals: Values
    """`[U]` sum of the values of each user's questions."""
    counts: Values
    """`[U]` how many of them have a value."""


class Interval(NamedTuple):
    """A figure with the bounds of its confidence interval."""

    value: float
    low: float
    high: float


def sums_of(values: Values, rows: NDArray[np.int64], users: int) -> Sums:
    """Sums by user of `values` `[n]`; `rows` `[n]` numbers the user of each. NaN is left out."""
    kept = ~np.isnan(values)
    totals = np.bincount(rows[kept], values[kept], minlength=users).astype(np.float64)
    return Sums(totals, np.bincount(rows[kept], minlength=users).astype(np.float64))


class Bootstrap:
    """`replicates` draws of as many users as there are, with replacement; the same for a seed."""

    def __init__(self, users: int, *, seed: int, replicates: int = REPLICATES) -> None:
        self.users = users
        self.replicates = replicates
        self._seed = seed

    def means(self, figures: list[Sums]) -> Values:
        """The mean of every figure in every draw, float64 `[replicates, figures]`.

        NaN where a draw holds no user with a value.
        """
        totals = np.stack([one.totals for one in figures], axis=1)
        counts = np.stack([one.counts for one in figures], axis=1)
        random = np.random.default_rng(self._seed)
        means = np.full((self.replicates, len(figures)), np.nan)
        block = max(1, BLOCK_WEIGHTS // self.users)
        for start in range(0, self.replicates, block):
            rows = min(block, self.replicates - start)
            drawn = random.integers(self.users, size=(rows, self.users))
            drawn += np.arange(rows)[:, None] * self.users
            weights = np.bincount(drawn.ravel(), minlength=rows * self.users)
            weights = weights.reshape(rows, self.users).astype(np.float64)
            divisor = weights @ counts
            part = means[start : start + rows]
            np.divide(weights @ totals, divisor, out=part, where=divisor > 0)
        return means


def mean_of(one: Sums) -> float:
    """The mean itself; NaN without a value."""
    return float(one.totals.sum() / one.counts.sum()) if one.counts.any() else float("nan")


def interval(value: float, draws: Values, level: float = LEVEL) -> Interval:
    """`value` with the quantiles of its `draws` `[replicates]`; NaN ones are left out."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
