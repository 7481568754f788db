"""A process that ends at the worst moment loses nothing and repeats nothing.

The faults are put into a real worker from outside: Python imports `sitecustomize` before the
program, and here it wraps one method of the worker.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from schemas import Click, Purchase
from stream_app.settings import Settings
from stream_app.streaming.exits import ExitCode
from stream_app.streaming.topics import admin_client
from stream_app.users.ids import item_hash
from stream_app.users.state import events_of
from tests.integration.topics import applied_events, lists, read, send, states, wait_for

NOW = 1_700_000_000_000
BATCH_MAX = 8
CRASHED = 9

FAIL_ON_BOOM = """
from agents.engine import Engine

work = Engine.work

def failing(self, records, *others):
    if any(b"boom" in record.value for record in records):
        raise RuntimeError("injected")
    return work(self, records, *others)

Engine.work = failing
"""

# In the second batch, after all that was acknowledged by then is committed: what is acknowledged
# too early would be lost.
CRASH = """
import os
from itertools import count
from stream_app.streaming.batches import Batches
from stream_app.streaming.publisher import Outbox

calls = count(1)
begin = Batches.__init__

def remember(self, stream, limit):
    global app
    app = stream.app
    begin(self, stream, limit)

Batches.__init__ = remember

async def crash(*_):
    await app.consumer.commit()
    print("crashed as the test wants it", flush=True)
    os._exit({code})

def wrap(owner, name, before=None):
    original = getattr(owner, name)

    async def wrapped(self, *arguments):
        if is_of_trends(self):  # sent once a second, beside the batches
            return await original(self, *arguments)
        second = next(calls) == 2
        if second and before is not None:
            await before(self)
        result = await original(self, *arguments)
        if second:
            await crash()
        return result

    setattr(owner, name, wrapped)

def keep(wanted):
    async def trim(outbox):
        outbox._open = {{
            target: batch for target, batch in outbox._open.items() if wanted(target[0])
        }}
    return trim

def is_changelog(topic):
    return topic.endswith("-changelog")

def is_of_trends(owner):
    topics = [topic for topic, _ in getattr(owner, "_open", ())]
    return bool(topics) and all(topic.endswith("item-trends") for topic in topics)

{fault}
"""

CRASH_POINTS = {
    "before anything is published": 'wrap(Outbox, "deliver", before=crash)',
    "when only rows are published": 'wrap(Outbox, "deliver", before=keep(is_changelog))',
    "when only lists are published": (
        'wrap(Outbox, "deliver", before=keep(lambda topic: not is_changelog(topic)))'
    ),
    "when the broker has everything": 'wrap(Outbox, "deliver")',
    "before the batch is acknowledged": 'wrap(Batches, "acknowledge", before=crash)',
    "after the batch is acknowledged": 'wrap(Batches, "acknowledge")',
}


def with_fault(directory: Path, code: str) -> dict[str, str]:
    """Environment variables that put a fault into a worker."""
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(code)
    known = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(directory), *([known] if known else [])])}


def events(first: int, count: int) -> list[Click | Purchase]:
    """Clicks and purchases of some users, no two with the same item or time."""
    return [
        (Purchase if number % 5 == 0 else Click)(
            user_id=f"user-{number % 7}", item_id=str(number), timestamp_ms=NOW + number
        )
        for number in range(first, first + count)
    ]


def committed(settings: Settings, *topics: str) -> dict[tuple[str, int], int]:
    """The committed offsets by topic and partition; of the topics of events by default."""

    async def run() -> dict[tuple[str, int], int]:
        async with admin_client(settings) as admin:
            found = await admin.list_consumer_group_offsets(settings.app_id)
        return {(tp.topic, tp.partition): at.offset for tp, at in found.items() if at.offset >= 0}

    offsets = asyncio.run(run())
    sources = {settings.topic_prefix + name for name in topics or ("clicks", "purchases")}
    return {tp: offset for tp, offset in offsets.items() if tp[0] in sources}


def ends(settings: Settings) -> dict[tuple[str, int], int]:
    """The offset after the last record of every source partition that has any."""
    found: dict[tuple[str, int], int] = {}
    for record in read(settings, "clicks", "purchases"):
        found[record.topic, record.partition] = record.offset + 1
    return found


def assert_committed_is_applied(settings: Settings) -> None:
    """No committed offset is past a record whose row and list the broker does not have."""
    done, rows = committed(settings), states(settings)
    listed: dict[tuple[str, str], int] = defaultdict(lambda: -1)
    for made in lists(settings):
        for source, offset in made.applied.items():
            key = (made.user_id, source)
            listed[key] = max(listed[key], offset)
    for record in read(settings, "clicks", "purchases"):
        if record.offset >= done.get((record.topic, record.partition), 0):
            continue
        user_id, source = record.key.decode(), f"{record.topic}/{record.partition}"
        assert rows[user_id].offsets[source] >= record.offset, "committed, and in no row"
        assert listed[user_id, source] >= record.offset, "committed, and in no list"


def wait_until_done(settings: Settings, sent: Sequence[Click | Purchase]) -> None:
    """Wait until every event is applied, every row is covered by a list, and all is committed."""
    wait_for(lambda: applied_events(settings) >= len(sent), "all events applied")
    wait_for(lambda: rows_without_list(settings) == set(), "a list for every row")
    wait_for(lambda: committed(settings) == ends(settings), "all offsets committed")


def rows_without_list(settings: Settings) -> set[str]:
    """Users whose row is covered by no list: `applied` of the list equal to the row's offsets."""
    covered = {(made.user_id, frozenset(made.applied.items())) for made in lists(settings)}
    return {
        user_id
        for user_id, state in states(settings).items()
        if (user_id, frozenset(state.offsets.items())) not in covered
    }


def assert_applied_once(settings: Settings, sent: Sequence[Click | Purchase]) -> None:
    """Every user's history is the events sent for them, each once and in the order of time."""
    expected: dict[str, list[int]] = defaultdict(list)
    for event in sorted(sent, key=lambda event: event.timestamp_ms):
        expected[event.user_id].append(item_hash(event.item_id))
    found = states(settings)
    histories = {user: events_of(state.history)["item"].tolist() for user, state in found.items()}
    assert histories == expected
    assert sum(state.events for state in found.values()) == len(sent)
    assert rows_without_list(settings) == set()


def test_an_unexpected_exception_ends_the_process_and_commits_nothing_past_it(
    settings: Settings, start_worker: Callable, tmp_path: Path
) -> None:
    sent = events(1, 40)
    send(settings, sent)
    fault = with_fault(tmp_path / "fault", FAIL_ON_BOOM)
    worker = start_worker(settings, STREAM_APP_COMMIT_INTERVAL_S="0.1", **fault)
    wait_until_done(settings, sent)

    boom = Click(user_id="user-3", item_id="boom", timestamp_ms=NOW + 41)
    after = [*events(42, 20), Click(user_id="user-3", item_id="later", timestamp_ms=NOW + 62)]
    (at,) = send(settings, [boom])
    send(settings, after)
    assert worker.wait() == ExitCode.PROCESSING, worker.output
    assert "a batch could not be handled: RuntimeError (text left out" in worker.output
    assert "Traceback" in worker.output
    assert committed(settings)[at.topic, at.partition] <= at.offset
    source = f"{at.topic}/{at.partition}"
    assert states(settings)["user-3"].offsets.get(source, -1) < at.offset
    assert_committed_is_applied(settings)

    sent += [boom, *after]
    start_worker(settings)
    wait_until_done(settings, sent)
    assert_applied_once(settings, sent)


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_crash_loses_nothing_and_repeats_nothing(
    settings: Settings, start_worker: Callable, tmp_path: Path, point: str
) -> None:
    sent = events(1, 60)
    send(settings, sent)
    code = CRASH.format(fault=CRASH_POINTS[point], code=CRASHED)
    fault = with_fault(tmp_path / "fault", code)
    worker = start_worker(settings, STREAM_APP_BATCH_MAX=str(BATCH_MAX), **fault)
    assert worker.wait() == CRASHED, worker.output
    assert "crashed as the test wants it" in worker.output
    assert committed(settings), "the first batch"
    assert_committed_is_applied(settings)

    start_worker(settings)
    wait_until_done(settings, sent)
    assert_applied_once(settings, sent)
