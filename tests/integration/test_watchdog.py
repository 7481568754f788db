"""A worker that hangs is ended and its fault named; one that only has to wait goes on.

As in `test_process_end`, the faults are put into a real worker from outside.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from schemas import PURCHASES
from stream_app.broker import EmbeddedKafka
from stream_app.demo.session import free_port
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.exits import ExitCode
from stream_app.streaming.group_view import GroupView, view_group
from stream_app.streaming.refusals import NoBrokerError
from tests.integration.test_process_end import events, wait_until_done, with_fault
from tests.integration.topics import applied_events, send, wait_for
from tests.integration.worker import WorkerProcess

STUCK_S = 5
FAST = {"STREAM_APP_STUCK_TIMEOUT_S": str(STUCK_S)}
LONG_S = 2.5 * STUCK_S
"""More than any rule allows that does not wait for others."""

BROKEN_START = """
import asyncio
from stream_app.streaming.recovery import RowsManager

async def on_start(self):
    raise RuntimeError("injected")

async def on_stop(self):
    await asyncio.Event().wait()

RowsManager.on_start = on_start
RowsManager.on_stop = on_stop
"""

HANGING_START = """
import asyncio
from stream_app.streaming.recovery import RowsManager

async def on_start(self):
    await asyncio.Event().wait()

RowsManager.on_start = on_start
"""

LOST_HEARTBEATS = """
from aiokafka.consumer.group_coordinator import GroupCoordinator

async def unsent(self):
    return False

GroupCoordinator._do_heartbeat = unsent
"""

COORDINATION_ENDS = """
import asyncio
from aiokafka.consumer.group_coordinator import GroupCoordinator

heartbeat = GroupCoordinator._do_heartbeat

async def ending(self):
    self._coordination_task.cancel()
    return await heartbeat(self)

GroupCoordinator._do_heartbeat = ending
"""

NO_CHECK_OF_TOPICS = """
from stream_app.streaming import topics

def checked(settings, counts, **_):
    return 4

topics.checked = checked
"""

NOTHING_TO_COMMIT = """
from faust.transport.consumer import Consumer

Consumer._new_offset = lambda self, tp: None
"""

AGENT_ENDS = """
from stream_app.streaming.batches import Batches

async def nothing(self):
    return
    yield

Batches.__aiter__ = nothing
"""

SILENT_CHANGELOG = """
import asyncio
from aiokafka import AIOKafkaConsumer
from stream_app.streaming import changelog

class Silent(AIOKafkaConsumer):
    async def getmany(self, *arguments, **more):
        await asyncio.Event().wait()

changelog.AIOKafkaConsumer = Silent
"""

SLOW_CHANGELOG = """
import asyncio
from aiokafka import AIOKafkaConsumer
from stream_app.streaming import changelog

class Slow(AIOKafkaConsumer):
    async def getmany(self, *arguments, **more):
        await asyncio.sleep(1)
        return await super().getmany(*arguments, **more, max_records=1)

changelog.AIOKafkaConsumer = Slow
"""

BLOCKED_LOOP = """
import time
from agents.recommend import RecommendAgent

async def blocking(self, *_):
    time.sleep(3600)

RecommendAgent._handle = blocking
"""

BLOCKED_RECOVERY = """
import time
from stream_app.streaming.ownership import UserRows

async def blocking(self, *_):
    time.sleep(3600)

UserRows.take = blocking
"""

BLOCKED_ENGINE = """
import threading
from agents.engine import Engine

Engine.work = lambda self, *_: threading.Event().wait()
"""

SLOW_FIRST_BATCH = """
import time
from itertools import count
from agents.engine import Engine

work, calls = Engine.work, count()

def slow(self, *batch):
    if not next(calls):
        time.sleep({seconds})
    return work(self, *batch)

Engine.work = slow
"""

LABORIOUS_BATCH = """
import time
from agents.engine import Engine

work = Engine.work

def laborious(self, *batch):
    print("a batch begins", flush=True)
    for _ in range(30):  # what a stop does not shorten
        time.sleep(0.1)
    return work(self, *batch)

Engine.work = laborious
"""

UNANSWERED_BATCH = """
import asyncio
from stream_app.streaming.publisher import Outbox

async def deliver(self):
    await asyncio.Event().wait()

Outbox.deliver = deliver
"""

SLOW_SHUTDOWN = """
import asyncio
from stream_app.streaming.recovery import RowsManager

async def on_stop(self):
    await asyncio.Event().wait()

RowsManager.on_stop = on_stop
"""

BLIND = """
from agents import worker

def snapshot(*_):
    raise ValueError("injected")

worker.snapshot = snapshot
"""

DEAF = """
import time
from stream_app.streaming.watchdog import Watchdog

Watchdog.tick = lambda self: time.sleep(3600)
"""

HOUR_OF_IDLENESS = """
from aiokafka.consumer.subscription_state import SubscriptionState

begin = SubscriptionState.__init__

def idle(self, *arguments, **more):
    begin(self, *arguments, **more)
    self._last_fetch_ended -= 3600

SubscriptionState.__init__ = idle
"""


def assert_ended(worker: WorkerProcess, cause: str, also: str = "") -> None:
    """The watchdog ended the worker and said why, and where its threads stood."""
    assert worker.wait(90) == ExitCode.STUCK, worker.output
    (line,) = [text for text in worker.output.splitlines() if "fatal: watchdog" in text]
    assert f"watchdog: {cause}: " in line
    assert also in line
    assert "Current thread" in worker.output


def assert_lives(worker: WorkerProcess, seconds: float) -> None:
    """The process is there during some seconds, and says that it is alive."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert worker.process.poll() is None, worker.output
        assert worker.get("/health/live")[0] == 200, worker.output
        time.sleep(0.2)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process does not run meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def faulty(start_worker: Callable, settings: Settings, tmp_path: Path) -> Callable:
    """Start a worker with a fault and short times."""

    def start(fault: str, **environment: str) -> WorkerProcess:
        return start_worker(
            settings, **FAST, **with_fault(tmp_path / "fault", fault), **environment
        )

    return start


@pytest.mark.parametrize(
    ("fault", "cause"),
    [(BROKEN_START, "slow shutdown"), (HANGING_START, "failed start")],
    ids=["raises", "hangs"],
)
def test_a_failed_start(faulty: Callable, fault: str, cause: str) -> None:
    worker = faulty(fault, STREAM_APP_START_TIMEOUT_S="5", STREAM_APP_SHUTDOWN_TIMEOUT_S="5")
    assert_ended(worker, cause)


@pytest.mark.parametrize(
    ("fault", "also"),
    [(LOST_HEARTBEATS, "for a member"), (COORDINATION_ENDS, "has ended")],
    ids=["heartbeats", "coordination"],
)
def test_out_of_the_group(faulty: Callable, fault: str, also: str) -> None:
    assert_ended(faulty(fault), "out of the group", also)


def test_a_source_topic_that_is_not_there(faulty: Callable, settings: Settings) -> None:
    async def remove() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
        await admin.start()
        try:
            await admin.delete_topics([settings.topic_prefix + PURCHASES.name])
        finally:
            await admin.close()

    asyncio.run(remove())
    worker = faulty(NO_CHECK_OF_TOPICS)
    assert_ended(worker, "no source partition", settings.topic_prefix + "purchases/0")


HANGS = {
    "nothing to commit": (NOTHING_TO_COMMIT, "stuck commit"),
    "the agent ends": (AGENT_ENDS, "dead agent"),
    "the loop is blocked": (BLOCKED_LOOP, "blocked event loop"),
    "the loop is blocked in recovery": (BLOCKED_RECOVERY, "blocked event loop"),
    "the engine hangs": (BLOCKED_ENGINE, "blocked engine"),
    "no acknowledgement": (UNANSWERED_BATCH, "stuck publish"),
    "every look fails": (BLIND, "blind watchdog"),
}


@pytest.mark.parametrize(("fault", "cause"), HANGS.values(), ids=HANGS)
def test_a_hanging_worker_is_ended(
    faulty: Callable, settings: Settings, fault: str, cause: str
) -> None:
    send(settings, events(1, 20))
    assert_ended(faulty(fault), cause)


def test_a_recovery_that_reads_nothing(
    faulty: Callable, start_worker: Callable, settings: Settings
) -> None:
    sent = events(1, 20)
    send(settings, sent)
    first = start_worker(settings)
    wait_until_done(settings, sent)
    assert first.terminate() == 0
    worker = faulty(SILENT_CHANGELOG)
    wait_for(lambda: "records to read" in worker.get("/health/ready")[1], "recovery")
    assert_ended(worker, "stuck recovery", "records to read")


def test_a_long_recovery_is_alive_and_not_ready(
    faulty: Callable, start_worker: Callable, settings: Settings
) -> None:
    sent = events(1, 40)
    first = start_worker(settings, STREAM_APP_BATCH_MAX="1")  # many rows for few users
    send(settings, sent)
    wait_until_done(settings, sent)
    assert first.terminate() == 0

    worker, remaining = faulty(SLOW_CHANGELOG), set()
    began = None
    while True:
        status, text = worker.get("/health/ready")
        if status == 200:
            break
        assert worker.process.poll() is None, worker.output
        if "records to read" in text:
            began = began or time.monotonic()
            remaining.add(text)
            assert worker.get("/health/live")[0] == 200
        time.sleep(0.1)
    assert began is not None
    assert time.monotonic() - began > LONG_S, "the recovery was not long"
    assert len(remaining) > LONG_S
    more = events(41, 5)
    send(settings, more)
    wait_until_done(settings, sent + more)


def test_a_shutdown_that_hangs(faulty: Callable) -> None:
    worker = faulty(SLOW_SHUTDOWN, STREAM_APP_SHUTDOWN_TIMEOUT_S="5").wait_until_ready()
    worker.process.send_signal(signal.SIGTERM)
    assert_ended(worker, "slow shutdown")


def test_a_watchdog_that_looks_no_more_is_seen_from_outside(faulty: Callable) -> None:
    worker = faulty(DEAF)
    wait_for(lambda: worker.get("/health/live")[0] == 503, "the liveness page says so")
    assert "the watchdog has not looked for" in worker.get("/health/live")[1]


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_no_alarm_while_the_broker_is_away(
    kafka: EmbeddedKafka, settings: Settings, start_worker: Callable, how: str
) -> None:
    sent = events(1, 20)
    worker = start_worker(settings, **FAST).wait_until_ready()
    send(settings, sent)
    wait_until_done(settings, sent)
    if how == "killed":
        kafka.kill()
        try:
            assert_lives(worker, LONG_S)
        finally:
            kafka.start()
    else:  # it accepts connections and answers nothing
        assert kafka.pid is not None
        with stopped(kafka.pid):
            assert_lives(worker, LONG_S)
    wait_for(lambda: knows_itself(settings), "the broker is in its own list of brokers")
    more = events(21, 20)
    send(settings, more)
    wait_until_done(settings, sent + more)
    assert_lives(worker, LONG_S)


def knows_itself(settings: Settings) -> bool:
    """A broker that goes on answers before that, and no command gets anything from it then."""
    try:
        return applied_events(settings) > 0
    except NoBrokerError:
        return False


def test_the_broker_is_asked_and_not_only_its_port(kafka: EmbeddedKafka) -> None:
    options = {"bootstrap_servers": kafka.bootstrap}
    # A new broker makes the topic of its groups when the first of them is asked for.
    wait_for(lambda: view_group(options, "nobody").answers, "a coordinator")
    assert view_group(options, "nobody") == GroupView(answers=True, owned=None)
    assert kafka.pid is not None
    with stopped(kafka.pid):
        assert view_group(options, "nobody") == GroupView(answers=False)
    wait_for(lambda: view_group(options, "nobody").answers, "the coordinator again")
    closed = {"bootstrap_servers": f"127.0.0.1:{free_port()}"}
    assert view_group(closed, "nobody") == GroupView(answers=False)


def test_a_worker_that_was_stopped_gets_its_time_again(
    faulty: Callable, settings: Settings
) -> None:
    sent = events(1, 20)
    send(settings, sent)
    worker = faulty(LABORIOUS_BATCH)
    wait_for(lambda: "a batch begins" in worker.output, "a batch in the engine")
    deadline = time.monotonic() + LONG_S
    with stopped(worker.process.pid):
        while time.monotonic() < deadline:
            time.sleep(0.2)
    wait_until_done(settings, sent)
    assert "the process was stopped for" in worker.output
    assert_lives(worker, STUCK_S)


def test_a_worker_waits_for_the_others_to_join(
    settings: Settings, start_worker: Callable, tmp_path: Path
) -> None:
    sent = events(1, 8)
    fault = with_fault(tmp_path / "fault", SLOW_FIRST_BATCH.format(seconds=20))
    busy = start_worker(settings, **fault).wait_until_ready()
    send(settings, sent)
    second = replace(settings, metrics_port=free_port())
    began = time.monotonic()
    worker = start_worker(second, **FAST, STREAM_APP_START_TIMEOUT_S="5").wait_until_ready(90)
    assert time.monotonic() - began > LONG_S, "the rebalance was not long"
    wait_until_done(settings, sent)
    assert busy.process.poll() is None, busy.output
    assert_lives(worker, STUCK_S)


def test_a_spare_worker_is_ready_and_takes_over(
    settings: Settings, start_worker: Callable, tmp_path: Path
) -> None:
    """Also after it had nothing to do for longer than a consumer may be idle."""
    one = replace(settings, app_id=f"{settings.app_id}-one", topic_prefix=f"{settings.app_id}-one.")
    asyncio.run(topics.create(one, 1, replication=1))
    first = start_worker(one, **FAST).wait_until_ready()
    fault = with_fault(tmp_path / "fault", HOUR_OF_IDLENESS)
    spare = start_worker(replace(one, metrics_port=free_port()), **FAST, **fault)
    spare.wait_until_ready()
    workers = [first, spare]
    wait_for(
        lambda: (
            sorted(worker.get("/health/ready")[1] for worker in workers)
            == ["serving 5 source partitions\n", "spare: others have all source partitions\n"]
        ),
        "one serves, the other is spare",
    )
    for worker in workers:
        assert_lives(worker, LONG_S / 2)
    serving = [worker for worker in workers if worker.get("/health/ready")[1].startswith("serving")]
    (left,) = [worker for worker in workers if worker not in serving]
    serving[0].kill()
    sent = events(1, 10)
    send(one, sent)
    wait_for(lambda: applied_events(one) == len(sent), "the spare worker takes over")
    assert_lives(left, STUCK_S)
