"""Rare events are fetched at once, frequent ones are gathered, and a burst is forgotten."""

import pytest

from stream_app.streaming.pacing import FetchPacing


def busy_after(rate: float, seconds: float = 3.0, events: int = 1) -> bool:
    """Whether fetches that bring some events at a rate per second end up gathering."""
    pacing, now, busy = FetchPacing(), 0.0, False
    while now < seconds:
        busy = pacing.observe(events, now)
        now += events / rate
    return busy


@pytest.mark.parametrize("rate", [1, 10, 50, 80])
def test_rare_events_are_not_held(rate: float) -> None:
    assert not busy_after(rate)


@pytest.mark.parametrize(("rate", "events"), [(150, 1), (1000, 1), (1000, 20), (5000, 128)])
def test_frequent_events_are_gathered(rate: float, events: int) -> None:
    assert busy_after(rate, events=events)


def test_a_single_user_who_clicks_fast_is_answered_at_once() -> None:
    pacing = FetchPacing()
    assert not any(pacing.observe(1, number * 0.1) for number in range(20))


def test_a_burst_is_forgotten() -> None:
    pacing = FetchPacing()
    assert pacing.observe(1000, 0.0)
    assert not pacing.observe(0, 5.0)
