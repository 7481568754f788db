"""Every known way to hang is recognised after its time, and nothing else is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.streaming import watchdog
from stream_app.streaming.activity import Activity, Stage, Standing
from stream_app.streaming.group_view import GroupView
from stream_app.streaming.probe import Member, PartitionProgress, Snapshot, snapshot
from stream_app.streaming.pulse import Pulse
from stream_app.streaming.stuck import LOOP_STALL_S, Cause, Finding, Limits, StuckRules
from stream_app.streaming.watchdog import SILENCE_S, Watchdog

PARTITION = ("clicks", 0)
SOURCES = frozenset({("clicks", 0), ("clicks", 1)})
LIMITS = Limits(start_s=60, stuck_s=30, shutdown_s=25, session_s=15, rebalance_s=30)
LOOP = "the event loop"
SERVES = GroupView(answers=True, owned=SOURCES)
AWAY = GroupView()
Look = Callable[[int], Snapshot]


@pytest.fixture
def rules() -> StuckRules:
    return StuckRules(LIMITS, SOURCES)


def serving(now: int, committed: int | None = 100, end: int = 100) -> Snapshot:
    """A healthy worker at a second: the broker confirms the membership, the agent waits."""
    return Snapshot(
        started=True,
        generation=1,
        member=Member(confirmed=now // 3),
        partitions={PARTITION: PartitionProgress(committed=committed, end=end)},
        agent=Standing(Stage.WAITING, 1),
    )


def recovering(now: int, remaining: int) -> Snapshot:
    return replace(serving(now), recovering=True, recovery_remaining=remaining, partitions={})


def run(
    rules: StuckRules,
    look: Look,
    seconds: int = 1000,
    *,
    begin: int = 0,
    view: Callable[[int], GroupView] = lambda now: SERVES,
    runs: Callable[[int], bool] = lambda now: True,
) -> tuple[int, Finding] | None:
    """When and what is proven first, looking once a second as the watchdog does."""
    answered = 1
    for now in range(begin, begin + seconds):
        answered += runs(now)
        found = rules.findings(look(now), {LOOP: answered}, float(now))
        if any(finding.cause.needs_broker for finding in found):
            found = rules.weigh(found, view(now))
        for finding in found:
            if finding.proven:
                return now, finding
    return None


def assert_found(
    found: tuple[int, Finding] | None, cause: Cause, after: float, text: str = ""
) -> None:
    """The cause, in the first look after its time, and what is said of it."""
    assert found is not None
    now, finding = found
    assert finding.cause is cause
    assert after < now <= after + 1
    assert text in str(finding)
    assert cause.title in str(finding)


def test_an_idle_worker_without_lag_is_never_stuck(rules: StuckRules) -> None:
    assert run(rules, serving) is None


def test_a_blocked_event_loop(rules: StuckRules) -> None:
    found = run(rules, serving, runs=lambda now: now < 100)
    assert_found(found, Cause.BLOCKED_LOOP, 99 + LOOP_STALL_S, LOOP)


def test_an_event_loop_that_is_blocked_before_it_was_asked(rules: StuckRules) -> None:
    found = rules.findings(serving(0, 17, 40), {LOOP: 0}, 0.0)
    found = rules.findings(serving(0, 17, 40), {LOOP: 0}, LOOP_STALL_S + 1)
    assert [finding.cause for finding in found] == [Cause.BLOCKED_LOOP]


def test_a_blocked_event_loop_during_recovery(rules: StuckRules) -> None:
    found = run(rules, lambda now: recovering(now, 10_000 - now), runs=lambda now: now < 100)
    assert_found(found, Cause.BLOCKED_LOOP, 99 + LOOP_STALL_S)


@pytest.mark.parametrize("seen", [Snapshot(), Snapshot(started=True)])
def test_a_start_that_never_joins_the_group(rules: StuckRules, seen: Snapshot) -> None:
    assert_found(run(rules, lambda now: seen), Cause.FAILED_START, 60, "not joined")


def test_a_start_waits_for_the_other_members(rules: StuckRules) -> None:
    joining = Snapshot(started=True, member=Member(joining=True))
    assert_found(run(rules, lambda now: joining), Cause.FAILED_START, 60 + 30)


def test_a_start_that_fails_and_does_not_end(rules: StuckRules) -> None:
    failed = Snapshot(stopping=True, crashed="OSError('disk')")
    assert_found(run(rules, lambda now: failed), Cause.SLOW_SHUTDOWN, 25, "OSError('disk')")


def test_why_the_worker_failed_is_said_without_what_could_name_a_user() -> None:
    app: Any = SimpleNamespace(
        _consumer=None, crash_reason=ValueError("key ann"), should_stop=True, started=False
    )
    seen = snapshot(app, frozenset(), Standing())
    assert "ValueError" in seen.crashed
    assert "ann" not in seen.crashed


def test_a_membership_that_is_no_longer_confirmed(rules: StuckRules) -> None:
    def silent(now: int) -> Snapshot:
        return replace(serving(now), member=Member(confirmed=min(now, 50)))

    assert_found(run(rules, silent), Cause.OUT_OF_GROUP, 50 + 15 + 30)


def test_a_consumer_whose_part_for_the_group_has_ended(rules: StuckRules) -> None:
    def ended(now: int) -> Snapshot:
        return replace(serving(now), member=Member(alive=now < 50, confirmed=now))

    assert_found(run(rules, ended), Cause.OUT_OF_GROUP, 50 + 30, "has ended")


def test_a_rejoin_may_last_as_long_as_the_others_take(rules: StuckRules) -> None:
    def slow(now: int) -> Snapshot:
        return replace(
            serving(now), rebalancing=True, member=Member(confirmed=now // 70, joining=True)
        )

    assert run(rules, slow) is None


def test_a_rejoin_that_never_ends(rules: StuckRules) -> None:
    waiting = replace(serving(0), rebalancing=True, member=Member(joining=True))
    assert_found(run(rules, lambda now: waiting), Cause.OUT_OF_GROUP, 15 + 30 + 30)


def test_a_rebalance_that_never_ends(rules: StuckRules) -> None:
    def endless(now: int) -> Snapshot:
        return replace(serving(now), rebalancing=True)

    assert_found(run(rules, endless), Cause.STUCK_RECOVERY, 60, "rebalance")


def test_a_topic_without_its_partitions(rules: StuckRules) -> None:
    def partly(now: int) -> Snapshot:
        return replace(serving(now), missing={("purchases", 0)})

    assert_found(run(rules, partly), Cause.NO_PARTITION, 30, "purchases/0")


def test_a_spare_worker_is_never_stuck_and_known_as_spare(rules: StuckRules) -> None:
    def spare(now: int) -> Snapshot:
        return replace(serving(now), partitions={})

    assert run(rules, spare) is None
    assert rules.spare
    assert run(rules, serving, 1, begin=1000) is None
    assert not rules.spare


def test_a_worker_without_partitions_that_nobody_has(rules: StuckRules) -> None:
    def idle(now: int) -> Snapshot:
        return replace(serving(now), partitions={})

    partly = GroupView(answers=True, owned=frozenset({PARTITION}))
    assert_found(run(rules, idle, view=lambda now: partly), Cause.NO_PARTITION, 30)
    assert not rules.spare


def test_partitions_of_a_group_in_motion_say_nothing(rules: StuckRules) -> None:
    def idle(now: int) -> Snapshot:
        return replace(serving(now), partitions={})

    assert run(rules, idle, view=lambda now: GroupView(answers=True)) is None


@pytest.mark.parametrize("stage", [Stage.ABSENT, Stage.ENDED])
def test_a_dead_agent(rules: StuckRules, stage: Stage) -> None:
    def dead(now: int) -> Snapshot:
        return replace(serving(now, 17, 40), agent=Standing(stage))

    assert_found(run(rules, dead), Cause.DEAD_AGENT, 30, stage.value)


@pytest.mark.parametrize(
    ("stage", "cause"),
    [(Stage.ENGINE, Cause.BLOCKED_ENGINE), (Stage.PUBLISH, Cause.STUCK_PUBLISH)],
)
def test_a_batch_that_stays_where_it_is(rules: StuckRules, stage: Stage, cause: Cause) -> None:
    def busy(now: int) -> Snapshot:  # events wait from second 8, this batch is taken at 10
        return replace(
            serving(now, 100, 100 if now < 8 else 140), agent=Standing(stage, min(now, 10))
        )

    assert_found(run(rules, busy), cause, 10 + 30, stage.value)


def test_an_engine_that_hangs_while_a_rebalance_waits_for_its_batch(rules: StuckRules) -> None:
    def waiting(now: int) -> Snapshot:
        return replace(serving(now), rebalancing=True, agent=Standing(Stage.ENGINE))

    assert_found(run(rules, waiting), Cause.BLOCKED_ENGINE, 30)


def test_a_repair_that_reads_on_while_a_batch_is_published(rules: StuckRules) -> None:
    def repairing(now: int) -> Snapshot:
        return replace(
            serving(now), agent=Standing(Stage.PUBLISH), recovery_remaining=9000 - now // 20
        )

    assert run(rules, repairing) is None


def test_a_recovery_without_progress(rules: StuckRules) -> None:
    found = run(rules, lambda now: recovering(now, 7))
    assert_found(found, Cause.STUCK_RECOVERY, 60, "7 records to read")


def test_a_long_recovery_with_progress_is_not_stuck(rules: StuckRules) -> None:
    assert run(rules, lambda now: recovering(now, 4000 - now // 50)) is None


def test_a_commit_that_stays_behind(rules: StuckRules) -> None:
    found = run(rules, lambda now: serving(now, committed=17, end=40))
    text = "clicks/0 stays committed at 17 with 23 events to read, the agent waits for events"
    assert_found(found, Cause.STUCK_COMMIT, 30, text)


def test_a_commit_that_stays_behind_while_other_partitions_are_served(rules: StuckRules) -> None:
    def busy(now: int) -> Snapshot:
        return replace(serving(now, 17, 40), agent=Standing(Stage.ENGINE, now))

    assert_found(run(rules, busy), Cause.STUCK_COMMIT, 30)


def test_a_partition_without_any_commit_but_with_events(rules: StuckRules) -> None:
    found = run(rules, lambda now: serving(now, committed=None, end=5))
    assert_found(found, Cause.STUCK_COMMIT, 30, "clicks/0")


def test_a_slow_but_moving_commit_is_not_stuck(rules: StuckRules) -> None:
    assert run(rules, lambda now: serving(now, committed=now // 20, end=10_000)) is None


def test_time_spent_in_a_rebalance_does_not_count_against_the_commit(rules: StuckRules) -> None:
    def interrupted(now: int) -> Snapshot:
        return replace(serving(now, 17, 40), rebalancing=now % 20 > 10)

    assert run(rules, interrupted) is None


def test_a_shutdown_that_does_not_end(rules: StuckRules) -> None:
    stopping = replace(serving(0, 1, 9), stopping=True)
    found = run(rules, lambda now: stopping, view=lambda now: AWAY)
    assert_found(found, Cause.SLOW_SHUTDOWN, 25)


ALL_AT_ONCE: dict[str, Look] = {
    "start": lambda now: Snapshot(),
    "membership": lambda now: replace(serving(now), member=Member(alive=False)),
    "recovery": lambda now: recovering(now, 7),
    "publish": lambda now: replace(serving(now), agent=Standing(Stage.PUBLISH)),
    "commit": lambda now: serving(now, 17, 40),
    "partitions": lambda now: replace(serving(now), missing={("purchases", 0)}),
}


@pytest.mark.parametrize("look", ALL_AT_ONCE.values(), ids=ALL_AT_ONCE)
def test_no_alarm_while_no_broker_answers(rules: StuckRules, look: Look) -> None:
    assert run(rules, look, view=lambda now: AWAY) is None


@pytest.mark.parametrize("look", ALL_AT_ONCE.values(), ids=ALL_AT_ONCE)
@pytest.mark.parametrize("away_s", [29, 61, 300])
def test_half_of_its_time_is_left_when_the_broker_is_back(
    rules: StuckRules, look: Look, away_s: int
) -> None:
    found = run(rules, look, view=lambda now: AWAY if now < away_s else SERVES)
    assert found is not None
    now, finding = found
    assert finding.limit_s / 2 <= now - away_s + 1 <= finding.limit_s + 2


def test_a_blocked_engine_is_found_without_a_broker(rules: StuckRules) -> None:
    def hanging(now: int) -> Snapshot:
        return replace(serving(now, 17, 40), agent=Standing(Stage.ENGINE))

    assert_found(run(rules, hanging, view=lambda now: AWAY), Cause.BLOCKED_ENGINE, 30)


@pytest.mark.parametrize("look", ALL_AT_ONCE.values(), ids=ALL_AT_ONCE)
def test_after_a_stop_of_the_process_time_begins_anew(rules: StuckRules, look: Look) -> None:
    assert run(rules, look, 25) is None
    rules.pardon()
    assert run(rules, look, 25, begin=1000) is None


class Worker:
    """A worker that looks as a test wants it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seen = serving(0)
        self.asked = 0
        self.loops: dict[str, Any] = {}
        self.watchdog = Watchdog(
            lambda: self.seen,
            lambda: self.loops,
            StuckRules(LIMITS, SOURCES),
            self.view,
            clock=lambda: self.now,
        )

    def view(self) -> GroupView:
        self.asked += 1
        return SERVES


class Prompt:
    """An event loop that answers at once, or when it is `late` once the watchdog is done."""

    def __init__(self) -> None:
        self.late = False
        self.due: list[Callable[[], None]] = []

    def call_soon_threadsafe(self, answer: Callable[[], None]) -> None:
        self.due.append(answer)
        if not self.late:
            self.answer()

    def answer(self) -> None:
        while self.due:
            self.due.pop()()


@pytest.mark.parametrize("late", [(False, True), (True, False)])
def test_a_loop_that_runs_is_not_blocked_however_seldom_one_looks(late: tuple[bool, ...]) -> None:
    """Looks take long while a broker is silent; an answer comes before the count or after it."""
    worker, loop = Worker(), Prompt()
    worker.loops[LOOP] = loop
    for _ in range(4):
        for loop.late in late:
            worker.seen = serving(int(worker.now))
            assert worker.watchdog.tick() == []
            loop.answer()
            worker.now += LOOP_STALL_S + 1


def test_the_broker_is_asked_from_half_the_time_on() -> None:
    worker = Worker()
    worker.seen = serving(0, 17, 40)
    worker.watchdog.tick()
    worker.now = 15
    assert worker.watchdog.tick() == []
    assert worker.asked == 0
    worker.now = 16
    assert worker.watchdog.tick() == []
    assert worker.asked == 1
    worker.now = 31
    (found,) = worker.watchdog.tick()
    assert found.cause is Cause.STUCK_COMMIT


def test_health_says_when_nobody_looks_any_more() -> None:
    worker = Worker()
    assert worker.watchdog.health() == (True, "joining the group")
    worker.watchdog.tick()
    assert worker.watchdog.health() == (True, "serving 1 source partitions")
    worker.seen = recovering(0, 12)
    worker.watchdog.tick()
    assert worker.watchdog.health() == (True, "recovering state, 12 records to read")
    worker.now = SILENCE_S + 1
    assert worker.watchdog.health() == (False, "the watchdog has not looked for 21 s")


def test_a_pulse_counts_while_the_loop_runs() -> None:
    pulse = Pulse()
    pulse.ask(None)
    loop = asyncio.new_event_loop()
    pulse.ask(loop)
    pulse.ask(loop)
    assert pulse.answered == 0
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    assert pulse.answered == 1
    loop.close()
    pulse.ask(loop)
    assert pulse.answered == 1


def test_every_stage_is_a_turn_of_its_own() -> None:
    activity = Activity()
    assert activity.standing == (Stage.ABSENT, 0)
    activity.enter(Stage.ENGINE)
    first = activity.standing
    activity.enter(Stage.WAITING)
    activity.enter(Stage.ENGINE)
    assert activity.standing != first
    assert activity.standing.stage is Stage.ENGINE


def test_in_json_the_stacks_of_all_threads_are_in_the_last_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(watchdog, "is_json", lambda: True)
    monkeypatch.setattr(watchdog, "die", lambda _, what, *, stack: said.append((what, stack)))
    watchdog._end("stuck commit")
    ((what, stack),) = said
    assert what == "watchdog: stuck commit"
    assert "Thread MainThread:" in stack
