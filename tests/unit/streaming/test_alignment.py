"""With a backlog, the topics of a user advance together; without one, nothing is held back."""

from types import SimpleNamespace

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from stream_app.streaming.alignment import TimeAlignment

CLICKS, PURCHASES = TP("clicks", 0), TP("purchases", 0)
OTHER = TP("clicks", 1)
BOTH = frozenset({CLICKS, PURCHASES})


def record(offset: int, timestamp: int) -> SimpleNamespace:
    return SimpleNamespace(offset=offset, timestamp=timestamp)


def test_what_was_never_read_is_read() -> None:
    assert TimeAlignment().choose(BOTH, lambda tp: 100) == BOTH


def test_without_a_backlog_all_are_read() -> None:
    alignment = TimeAlignment()
    alignment.observe({CLICKS: [record(9, 1000)], PURCHASES: [record(9, 5000)]})
    assert alignment.choose(BOTH, lambda tp: 10) == BOTH


def test_who_is_ahead_waits_for_the_one_with_a_backlog() -> None:
    alignment = TimeAlignment()
    alignment.observe({CLICKS: [record(9, 1000)], PURCHASES: [record(9, 5000)]})
    assert alignment.choose(BOTH, lambda tp: 100) == {CLICKS}
    alignment.observe({CLICKS: [record(50, 6000)]})
    assert alignment.choose(BOTH, lambda tp: 100) == {PURCHASES}


def test_one_that_is_behind_holds_the_others_also_when_its_queue_is_full() -> None:
    alignment = TimeAlignment()
    alignment.observe({CLICKS: [record(9, 1000)], PURCHASES: [record(9, 5000)]})
    assert alignment.choose(frozenset({PURCHASES}), lambda tp: 100) == frozenset()
    alignment.forget([CLICKS])
    assert alignment.choose(frozenset({PURCHASES}), lambda tp: 100) == {PURCHASES}


def test_other_numbers_do_not_wait() -> None:
    alignment = TimeAlignment()
    alignment.observe({CLICKS: [record(9, 1000)], PURCHASES: [record(9, 5000)]})
    alignment.observe({OTHER: [record(9, 9000)]})
    assert alignment.choose(BOTH | {OTHER}, lambda tp: 100) == {CLICKS, OTHER}


def test_a_fetch_that_gave_nothing_ends_the_waiting() -> None:
    alignment = TimeAlignment()
    alignment.observe({CLICKS: [record(9, 1000)], PURCHASES: [record(9, 5000)]})
    alignment.observe({})
    assert alignment.choose(BOTH, lambda tp: 100) == BOTH


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=60))
def test_every_record_is_read_and_no_topic_gets_far_ahead(steps: list[tuple[int, int]]) -> None:
    """Reading a backlog in pieces of at most 5 keeps two topics within two pieces in time."""
    times = {CLICKS: list(range(0, 200, 2)), PURCHASES: list(range(1, 201, 2))}
    at = dict.fromkeys(times, 1)
    alignment = TimeAlignment()
    alignment.observe({tp: [record(0, times[tp][0])] for tp in times})
    dice = [step for _, step in steps]
    turn = 0
    while any(at[tp] < len(times[tp]) for tp in times):
        chosen = alignment.choose(BOTH, lambda tp: len(times[tp]))
        tp = next(tp for tp in sorted(chosen) if at[tp] < len(times[tp]) or len(chosen) == 1)
        taken = times[tp][at[tp] : at[tp] + dice[turn % len(dice)]]
        alignment.observe(
            {tp: [record(at[tp] + n, time) for n, time in enumerate(taken)]} if taken else {}
        )
        at[tp] += len(taken)
        turn += 1
        assert abs(at[CLICKS] - at[PURCHASES]) <= 10
