"""On the shipped bundle, an item falls further without the event that is named than without others.

Scores without an event are computed apart from the code that names it, by the formula of the
manifest and an encoding of whole rings (`benchmarks.reasons`).
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.reasons import EXAMPLE, Drops, chosen, example_rows, measure
from stream_app.recommender import Recommender

USERS, SEED = 40, 7


@pytest.fixture(scope="module")
def drops() -> Drops:
    rows = example_rows()
    recommender = Recommender.load(EXAMPLE / "bundle")
    return measure(recommender, rows, chosen(rows, USERS, SEED), SEED)


def test_without_the_named_event_the_score_falls_more_than_without_a_random_one(drops: Drops):
    named, random = np.array(drops.named), np.array(drops.random)
    assert len(named) >= 0.9 * 10 * USERS
    assert named.mean() > 10 * random.mean()
    assert named.mean() > 1.0
    # Where it does not, the random event is the named one, or nearly as strong.
    assert (named > random - 0.01).all()
    assert (named > random).mean() > 0.9


def test_the_cheap_reason_of_every_list_is_true_as_well(drops: Drops):
    cheap, random = np.array(drops.cheap), np.array(drops.random_at_cheap)
    assert len(cheap) > 0.5 * len(drops.named)
    assert cheap.mean() > 10 * random.mean()
    assert np.mean(drops.agree) > 0.5
