"""Intervals hold what they promise, on data whose truth is known."""

import numpy as np
import pytest

from stream_app.evaluation.bootstrap import Bootstrap, interval, mean_of, sums_of


def test_means_are_over_questions_and_draws_over_users() -> None:
    sums = sums_of(np.array([1.0, 0.0, 1.0, np.nan]), np.array([0, 0, 1, 2]), 3)
    assert mean_of(sums) == pytest.approx(2 / 3)
    draws = Bootstrap(3, seed=0, replicates=400).means([sums])[:, 0]
    possible = {0.5, 1.0, 2 / 3, 3 / 4, 3 / 5}
    assert {round(one, 9) for one in draws[~np.isnan(draws)].tolist()} <= {
        round(one, 9) for one in possible
    }
    assert np.isnan(draws).any()  # user 2 drawn three times: there is nothing to average


def test_the_same_seed_draws_the_same_users_for_every_figure() -> None:
    random = np.random.default_rng(0)
    sums = sums_of(random.random(50), np.arange(50), 50)
    bootstrap = Bootstrap(50, seed=1, replicates=100)
    together = bootstrap.means([sums, sums])
    assert np.array_equal(together[:, 0], together[:, 1])
    assert bootstrap.means([sums])[:, 0] == pytest.approx(together[:, 0])
    assert not np.array_equal(Bootstrap(50, seed=2, replicates=100).means([sums])[:, 0],
                              together[:, 0])  # fmt: skip


def test_draws_do_not_depend_on_how_many_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = sums_of(np.arange(20.0), np.arange(20), 20)
    whole = Bootstrap(20, seed=1, replicates=30).means([sums])
    monkeypatch.setattr("stream_app.evaluation.bootstrap.BLOCK_WEIGHTS", 70)
    assert np.array_equal(Bootstrap(20, seed=1, replicates=30).means([sums]), whole)


def test_a_95_percent_interval_holds_the_truth_about_95_times_in_100() -> None:
    random = np.random.default_rng(7)
    held = 0
    for experiment in range(300):
        users = np.repeat(np.arange(80), random.integers(1, 6, 80))
        chance = random.beta(2, 3, 80)  # users differ: their questions are alike
        hits = (random.random(len(users)) < chance[users]).astype(np.float64)
        sums = sums_of(hits, users, 80)
        draws = Bootstrap(80, seed=experiment, replicates=200).means([sums])[:, 0]
        found = interval(mean_of(sums), draws)
        held += found.low <= 0.4 <= found.high
    assert 0.90 <= held / 300 <= 0.98


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    random = np.random.default_rng(3)
    ease = random.normal(size=200)
    one, other = (sums_of(ease + gain, np.arange(200), 200) for gain in (0.1, 0.0))
    draws = Bootstrap(200, seed=0).means([one, other])
    first, second = interval(mean_of(one), draws[:, 0]), interval(mean_of(other), draws[:, 1])
    assert first.low < second.high  # apart they overlap
    difference = interval(mean_of(one) - mean_of(other), draws[:, 0] - draws[:, 1])
    assert difference.low == pytest.approx(0.1)
    assert difference.high == pytest.approx(0.1)


def test_nothing_measured_is_not_a_figure() -> None:
    sums = sums_of(np.array([np.nan]), np.array([0]), 1)
    assert np.isnan(mean_of(sums))
    assert np.isnan(interval(mean_of(sums), Bootstrap(1, seed=0).means([sums])[:, 0])).all()
