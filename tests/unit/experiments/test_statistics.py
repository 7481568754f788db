"""Tests and bounds do as their papers say: against tables, and against simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_app.attribution.clusters import Estimate
from stream_app.experiments.statistics import always_valid, chi_square, difference


@pytest.mark.parametrize(
    ("value", "freedom", "p"),
    [
        # Critical values of the printed tables.
        (3.841459, 1, 0.05), (6.634897, 1, 0.01), (5.991465, 2, 0.05), (7.814728, 3, 0.05),
        (13.276704, 4, 0.01), (11.070498, 5, 0.05), (27.877165, 9, 0.001),
    ],
)  # fmt: skip
def test_p_values_are_those_of_the_tables(value: float, freedom: int, p: float) -> None:
    # Two cells far from what is expected, the others as expected, give any value that is wanted.
    cells = freedom + 1
    counts = np.full(cells, 1e9)
    counts[0] += math.sqrt(value * 1e9 / 2)
    counts[1] -= math.sqrt(value * 1e9 / 2)
    assert chi_square(counts, np.ones(cells)) == pytest.approx(p, rel=1e-4)


def test_nobody_is_no_evidence() -> None:
    assert chi_square([0, 0], [0.5, 0.5]) == 1.0
    assert chi_square([7], [1.0]) == 1.0


def test_a_fair_split_is_blamed_as_often_as_it_should_be() -> None:
    random = np.random.default_rng(1)
    shares = np.array([0.5, 0.3, 0.2])
    found = [chi_square(random.multinomial(2000, shares), shares) for _ in range(2000)]
    assert 0.035 < np.mean(np.array(found) < 0.05) < 0.065


def test_a_difference_is_as_uncertain_as_both_together() -> None:
    assert difference(Estimate(0.5, 0.03), Estimate(0.2, 0.04)) == (pytest.approx(0.3), 0.05)


def test_the_bound_is_the_one_at_which_the_mixture_rejects() -> None:
    """Lambda = sqrt(V / (V + t)) exp(t d^2 / (2 V (V + t))) reaches 1 / alpha there."""
    for error, alpha, scale in ((0.01, 0.05, 0.01), (0.002, 0.001, 0.03)):
        half = always_valid(error, alpha, scale)
        variance, mixing = error**2, scale**2
        both = variance + mixing
        likelihood = math.sqrt(variance / both) * math.exp(mixing * half**2 / (2 * variance * both))
        assert likelihood == pytest.approx(1 / alpha)
    assert always_valid(0.0, 0.05, 0.01) == math.inf
    assert always_valid(math.nan, 0.05, 0.01) == math.inf


def test_looking_again_and_again_does_not_find_what_is_not_there() -> None:
    """A thousand streams without a difference, looked at 200 times each."""
    random = np.random.default_rng(2)
    runs, looks, each, alpha = 1000, 200, 50, 0.05
    sums = random.standard_normal((runs, looks)) * math.sqrt(each)
    counts = each * np.arange(1, looks + 1)
    means = sums.cumsum(axis=1) / counts
    bounds = np.array([always_valid(1 / math.sqrt(n), alpha, 0.1) for n in counts])
    assert (np.abs(means) > bounds).any(axis=1).mean() <= alpha
    fixed = 1.96 / np.sqrt(counts)
    assert (np.abs(means) > fixed).any(axis=1).mean() > 0.3  # what is to be avoided
