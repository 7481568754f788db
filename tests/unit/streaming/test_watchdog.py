"""Every known way to hang is recognised after its time, and nothing else is."""

from dataclasses import replace

import pytest

from stream_app.streaming.probe import PartitionProgress, Snapshot
from stream_app.streaming.watchdog import LOOP_STALL_S, SHUTDOWN_S, Heartbeat, StuckRules

PARTITION = ("clicks", 0)


def serving(committed: int | None = 100, end: int = 100) -> Snapshot:
    return Snapshot(
        started=True,
        generation=1,
        partitions={PARTITION: PartitionProgress(committed=committed, end=end)},
    )


@pytest.fixture
def rules() -> StuckRules:
    return StuckRules(start_timeout_s=60, stuck_timeout_s=30, began=0.0)


def verdict_over(rules: StuckRules, seen: Snapshot, seconds: int, beat: bool = True) -> str | None:
    """The first verdict while the worker looks the same for some seconds."""
    for now in range(seconds):
        found = rules.verdict(seen, float(now) if beat else 0.0, float(now))
        if found:
            return found
    return None


def test_an_idle_worker_without_lag_is_never_stuck(rules: StuckRules) -> None:
    assert verdict_over(rules, serving(), 3600) is None


def test_a_worker_without_partitions_is_never_stuck(rules: StuckRules) -> None:
    spare = replace(serving(), partitions={})
    assert verdict_over(rules, spare, 3600) is None


def test_a_stalled_event_loop(rules: StuckRules) -> None:
    assert verdict_over(rules, serving(), int(LOOP_STALL_S), beat=False) is None
    assert "event loop" in (verdict_over(rules, serving(), 60, beat=False) or "")


@pytest.mark.parametrize("seen", [Snapshot(), Snapshot(started=True)])
def test_a_start_that_never_joins_the_group(rules: StuckRules, seen: Snapshot) -> None:
    assert verdict_over(rules, seen, 61) is None
    assert "not joined" in (verdict_over(rules, seen, 63) or "")


def test_a_recovery_without_progress(rules: StuckRules) -> None:
    stuck = Snapshot(started=True, generation=1, recovering=True, recovery_remaining=7)
    assert "7 records remain" in (verdict_over(rules, stuck, 63) or "")


def test_a_long_recovery_with_progress_is_not_stuck(rules: StuckRules) -> None:
    for now in range(3600):
        left = Snapshot(
            started=True, generation=1, recovering=True, recovery_remaining=4000 - now // 50
        )
        assert rules.verdict(left, float(now), float(now)) is None


def test_a_commit_that_stays_behind(rules: StuckRules) -> None:
    found = verdict_over(rules, serving(committed=17, end=40), 33)
    assert found == "clicks/0 stays committed at 17 with 23 events to read"


def test_a_partition_without_any_commit_but_with_events(rules: StuckRules) -> None:
    assert "clicks/0" in (verdict_over(rules, serving(committed=None, end=5), 33) or "")


def test_a_slow_but_moving_commit_is_not_stuck(rules: StuckRules) -> None:
    for now in range(3600):
        seen = serving(committed=now // 20, end=10_000)
        assert rules.verdict(seen, float(now), float(now)) is None


def test_time_spent_in_a_rebalance_does_not_count_against_the_commit(rules: StuckRules) -> None:
    behind = serving(committed=17, end=40)
    for now in range(0, 300, 20):
        assert rules.verdict(behind, float(now), float(now)) is None
        between = replace(behind, rebalancing=True)
        assert rules.verdict(between, float(now + 10), float(now + 10)) is None


def test_a_shutdown_that_does_not_end(rules: StuckRules) -> None:
    stopping = replace(serving(committed=1, end=9), stopping=True)
    assert verdict_over(rules, stopping, int(SHUTDOWN_S)) is None
    assert "shutdown" in (verdict_over(rules, stopping, int(SHUTDOWN_S) + 10) or "")


def test_the_heartbeat_keeps_the_last_beat() -> None:
    times = iter([1.0, 2.5])
    heartbeat = Heartbeat(lambda: next(times))
    assert heartbeat.last is None
    heartbeat.beat()
    heartbeat.beat()
    assert heartbeat.last == 2.5
