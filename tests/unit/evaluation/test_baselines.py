"""The opponents, checked on streams small enough to count by hand."""

import pytest

from stream_app.evaluation import Baseline, DecayedPopularity, Popularity, TransitionCounts

DAY = 86_400_000


def feed(baseline: Baseline, *events: tuple[str, str, float]) -> Baseline:
    for user, item, day in events:
        baseline.observe(user, item, int(day * DAY))
    return baseline


def test_popularity_counts_all_events_alike() -> None:
    baseline = feed(Popularity(), ("a", "x", 0), ("b", "x", 0), ("c", "y", 900), ("d", "z", 901))
    assert baseline.recommend("new", 3) == ["x", "y", "z"]


def test_decayed_popularity_halves_with_every_half_life() -> None:
    events = [("a", "x", 0), ("b", "x", 0), ("c", "x", 0), ("d", "y", 2)]
    assert feed(DecayedPopularity(DAY), *events).recommend("new", 2) == ["y", "x"]  # 1 > 3/4
    assert feed(DecayedPopularity(2 * DAY), *events).recommend("new", 2) == ["x", "y"]  # 3/2 > 1


def test_decay_outlives_the_range_of_floats() -> None:
    baseline = DecayedPopularity(DAY)
    for day in range(3_000):
        baseline.observe("a", f"item{day % 7}", day * DAY)
    assert baseline.recommend("new", 3) == ["item3", "item2", "item1"]


def test_transitions_follow_the_last_item_and_fill_up_by_popularity() -> None:
    baseline = feed(
        TransitionCounts(),
        ("a", "x", 0), ("a", "y", 1), ("b", "x", 2), ("b", "z", 3), ("c", "x", 4), ("c", "z", 5),
        ("d", "w", 6), ("e", "w", 7), ("f", "w", 8), ("f", "w", 9), ("me", "x", 10),
    )  # fmt: skip
    assert baseline.recommend("me", 3) == ["z", "y", "w"]
    assert baseline.recommend("stranger", 2) == ["x", "w"]


@pytest.mark.parametrize(
    "baseline", [Popularity(), DecayedPopularity(DAY), TransitionCounts()], ids=lambda one: one.name
)
def test_no_baseline_recommends_what_the_user_had(baseline: Baseline) -> None:
    feed(baseline, ("a", "x", 0), ("a", "y", 0), ("a", "z", 0), ("b", "x", 1))
    assert baseline.recommend("a", 10) == []
    assert set(baseline.recommend("b", 10)) == {"y", "z"}
    assert baseline.recommend("b", 1) == baseline.recommend("b", 10)[:1]
