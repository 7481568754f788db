"""The clock of the stream never runs ahead of the events nor of this machine."""

from stream_app.streaming.expiry import StreamClock


def now(clock: StreamClock, *appended_ms: int) -> list[int]:
    return [clock.observe([(0, at)]) for at in appended_ms]


def test_time_stands_still_without_events() -> None:
    assert StreamClock(lambda: 1000).now_ms(0) == 0


def test_time_is_the_newest_append() -> None:
    assert now(StreamClock(lambda: 1000), 500, 700, 600) == [500, 700, 700]


def test_a_partition_that_lags_behind_has_a_time_of_its_own() -> None:
    clock = StreamClock(lambda: 1000)
    assert clock.observe([(0, 900), (1, 200)]) == 900
    assert (clock.now_ms(0), clock.now_ms(1)) == (900, 200)


def test_an_append_time_from_the_future_does_not_move_it_past_this_machine() -> None:
    assert now(StreamClock(lambda: 1000), 10**15) == [1000]


def test_a_clock_of_this_machine_that_jumps_ahead_changes_nothing() -> None:
    times = iter([1000, 10**15, 1001])
    assert now(StreamClock(lambda: next(times)), 900, 950, 960) == [900, 950, 960]
