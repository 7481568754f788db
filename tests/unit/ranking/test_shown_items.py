"""Coverage and takeover are of the last hour, of what may be recommended."""

from __future__ import annotations

import numpy as np
import pytest
from small_release import small_release

from stream_app.ranking.coverage import LOOK_MS, PERIOD_MS, PERIODS, TOP, Coverage, Shown

START = 1_700_000_000_000 // PERIOD_MS * PERIOD_MS


def positions(*items: int) -> np.ndarray:
    return np.array(items, np.int32)


def test_nothing_is_known_before_the_first_list() -> None:
    assert Coverage(small_release(40).catalog).shown(START) == Shown(None, None)


def test_shares_are_of_available_items_and_of_places() -> None:
    catalog = small_release(40).catalog
    coverage = Coverage(catalog)
    coverage.add(positions(*range(20), *[0] * 20), START)
    assert coverage.shown(START) == Shown(20 / 40, (21 + TOP - 1) / 40)
    catalog.set_available(np.arange(40) >= 10)
    assert coverage.shown(START + LOOK_MS).coverage == 10 / 30
    catalog.set_available(np.zeros(40, np.bool_))
    assert coverage.shown(START + 2 * LOOK_MS).coverage is None


def test_a_small_catalogue_is_all_top() -> None:
    coverage = Coverage(small_release(3).catalog)
    coverage.add(positions(0, 1, 1), START)
    assert coverage.shown(START) == Shown(2 / 3, 1.0)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    coverage = Coverage(small_release(40).catalog)
    coverage.add(positions(1), START)
    coverage.add(positions(2), START + PERIOD_MS)
    last = START + PERIODS * PERIOD_MS
    assert coverage.shown(last - 1).coverage == 2 / 40
    assert coverage.shown(last + LOOK_MS).coverage == 1 / 40
    assert coverage.shown(last + 100 * PERIOD_MS) == Shown(None, None)


def test_a_clock_that_is_put_back_loses_nothing() -> None:
    coverage = Coverage(small_release(40).catalog)
    coverage.add(positions(1), START)
    coverage.add(positions(2), START - 10 * PERIOD_MS)
    assert coverage.shown(START).coverage == 2 / 40


def test_figures_are_looked_up_once_in_a_while() -> None:
    coverage = Coverage(small_release(40).catalog)
    coverage.add(positions(1), START)
    assert coverage.shown(START).coverage == 1 / 40
    coverage.add(positions(2), START)
    assert coverage.shown(START + LOOK_MS - 1).coverage == 1 / 40
    assert coverage.shown(START + LOOK_MS).coverage == 2 / 40


@pytest.mark.parametrize("more", [1, 15])
def test_items_that_join_are_counted(more: int) -> None:
    catalog = small_release(40).catalog
    coverage = Coverage(catalog)
    coverage.add(positions(1), START)
    for number in range(more):
        coverage.add(positions(catalog.index_or_add(f"new-{number}")), START)
    assert coverage.shown(START).coverage == (1 + more) / (40 + more)
