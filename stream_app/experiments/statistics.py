"""What experiments are judged by: no more than numpy and `math` are needed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_app.attribution.clusters import Estimate

Numbers = NDArray[np.float64] | NDArray[np.int64] | Sequence[float]


def chi_square(counts: Numbers, shares: Numbers) -> float:
    """p-value of Pearson's test that `counts` were drawn with probabilities like `shares`."""
    found, wanted = np.asarray(counts, np.float64), np.asarray(shares, np.float64)
    if not found.sum():
        return 1.0
    expected = found.sum() * wanted / wanted.sum()
    return _upper_tail(float(((found - expected) ** 2 / expected).sum()), len(found) - 1)


def _upper_tail(value: float, freedom: int) -> float:
    """Probability that a chi-square variable exceeds `value` (Abramowitz and Stegun 26.4.4-5)."""
    if freedom < 1:
        return 1.0
    if freedom % 2:
        tail, degree = math.erfc(math.sqrt(value / 2)), 1
        term = math.sqrt(2 * value / math.pi) * math.exp(-value / 2)
    else:
        tail, degree, term = 0.0, 0, math.exp(-value / 2)
    while degree < freedom - 1:
        tail += term
        degree += 2
        term *= value / degree
    return tail


def difference(one: Estimate, other: Estimate) -> Estimate:
    """`one` less `other`, of two groups without a user in common."""
    return Estimate(one.value - other.value, math.hypot(one.error, other.error))


def always_valid(error: float, alpha: float, scale: float) -> float:
    """Half the width of an interval that may be looked at again and again; inf for error 0.

    It comes from the mixture sequential probability ratio test with normal mixing of standard
    deviation `scale`, the size of the differences that one looks for, to be chosen before the data
    are seen: with probability `1 - alpha` the truth is in the interval at all looks, whenever one
    stops (Johari, Koomen, Pekelis and Walsh, Always Valid Inference, Operations Research 2022). As
    in that paper for rates, the estimate is taken for normal: groups must not be tiny.
    """
    if not error > 0:
        return math.inf
    variance, mixing = error**2, scale**2
    both = variance + mixing
    inside = 2 * math.log(1 / alpha) + math.log(both / variance)
    return math.sqrt(variance * both / mixing * inside)
