"""Nothing lost and nothing twice, whatever happens to the worker; checked against the engine.

The reference is a plain `Recommender` that reads the same topics once, from the start to the end,
without Kafka's help.
"""

from __future__ import annotations

import random
import signal
import threading
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

import schemas
from schemas import Click, Purchase
from stream_app.bundle import load_bundle
from stream_app.demo.session import free_port
from stream_app.recommender import Recommender, SourceMessage
from stream_app.settings import Settings
from stream_app.users.state import UserState
from tests.integration.conftest import BUNDLE, PARTITIONS
from tests.integration.topics import applied_events, lists, read, send, states, wait_for

NOW = 1_700_000_000_000
USERS = 60


def events(count: int, seed: int) -> list[Click | Purchase]:
    """Clicks and purchases of some users, with times in order and no two alike."""
    dice = random.Random(seed)
    made: list[Click | Purchase] = []
    for number in range(count):
        kind = Purchase if dice.random() < 0.2 else Click
        made.append(
            kind(
                user_id=f"user-{dice.randrange(USERS)}",
                item_id=str(dice.randrange(1, 3000)),
                timestamp_ms=NOW + number,
            )
        )
    return made


def reference(settings: Settings) -> dict[str, UserState]:
    """The rows that the engine makes of the source topics, user by user in time order."""
    by_user: dict[str, list[SourceMessage]] = defaultdict(list)
    for record in read(settings, "clicks", "purchases"):
        kind = Click if record.topic.endswith("clicks") else Purchase
        message = schemas.decode(kind, record.value, key=record.key, now_ms=NOW + 10**9)
        by_user[message.user_id].append(
            SourceMessage(message, record.topic, record.partition, record.offset)
        )
    recommender = Recommender(load_bundle(BUNDLE))
    rows: dict[str, UserState] = {}
    for user_id, messages in by_user.items():
        messages.sort(key=lambda source: source.message.timestamp_ms)
        rows |= recommender.process(messages, {user_id: None}).states
    return rows


def assert_exact(settings: Settings, sent: int) -> None:
    """Every row is what the reference makes of the topics, and every event has a list after it."""
    expected, found = reference(settings), states(settings)
    assert found.keys() == expected.keys()
    for user_id, row in found.items():
        assert row.history == expected[user_id].history, user_id
        assert row.offsets == expected[user_id].offsets, user_id
        assert row.events == expected[user_id].events, user_id
        for name in ("hidden", "vector"):
            ours, theirs = (
                np.frombuffer(getattr(state, name), np.float16)
                for state in (row, expected[user_id])
            )
            np.testing.assert_allclose(
                ours.astype(np.float32), theirs.astype(np.float32), rtol=0, atol=0.02
            )
    assert sum(row.events for row in found.values()) == sent
    covered: dict[str, dict[str, int]] = defaultdict(dict)
    for made in lists(settings):
        for source, offset in made.applied.items():
            known = covered[made.user_id].get(source, -1)
            covered[made.user_id][source] = max(known, offset)
    assert covered == {user_id: row.offsets for user_id, row in expected.items()}


def sending(settings: Settings, made: list[Click | Purchase]) -> threading.Thread:
    """Send in the background, in pieces, so that faults fall into a running stream."""

    def run() -> None:
        for start in range(0, len(made), 100):
            send(settings, made[start : start + 100])

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.fixture(params=["memory", "rocksdb"])
def store(request, tmp_path) -> dict[str, str]:
    """Environment of a worker that keeps its rows there."""
    return {"STREAM_APP_STATE_STORE": request.param, "STREAM_APP_STATE_DIR": str(tmp_path / "one")}


def test_killed_in_the_middle_and_restarted(settings, start_worker, store) -> None:
    made = events(3000, seed=1)
    thread = sending(settings, made)
    for part in (1, 2, 3):
        worker = start_worker(settings, **store).wait_until_ready()
        wait_for(lambda part=part: applied_events(settings) >= 600 * part, "some events applied")
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
    thread.join()
    start_worker(settings, **store).wait_until_ready()
    wait_for(lambda: applied_events(settings) >= len(made), "all events applied")
    wait_until_covered(settings)
    assert_exact(settings, len(made))


def test_sigterm_drains_and_commits(settings, start_worker) -> None:
    made = events(2000, seed=2)
    thread = sending(settings, made)
    worker = start_worker(settings).wait_until_ready()
    wait_for(lambda: applied_events(settings) >= 500, "some events applied")
    assert worker.terminate() == 0, worker.output
    thread.join()
    before = len(read(settings, "recommendations"))
    rows = states(settings)
    second = start_worker(settings).wait_until_ready()
    wait_for(lambda: applied_events(settings) >= len(made), "all events applied")
    wait_until_covered(settings)
    assert_exact(settings, len(made))
    assert before
    assert rows
    assert 'outcome="replayed"' not in second.get("/metrics")[1], "committed less than was done"


def test_a_second_worker_joins_and_the_first_leaves(
    settings, start_worker, store, tmp_path
) -> None:
    made = events(3000, seed=3)
    thread = sending(settings, made)
    first = start_worker(settings, **store).wait_until_ready()
    wait_for(lambda: applied_events(settings) >= 500, "some events applied")
    second = settings_of_another(settings)
    other = {**store, "STREAM_APP_STATE_DIR": str(tmp_path / "two")}
    start_worker(second, **other).wait_until_ready()
    wait_for(lambda: applied_events(settings) >= 1500, "more events applied")
    assert first.terminate() == 0, first.output
    thread.join()
    wait_for(lambda: applied_events(settings) >= len(made), "all events applied", 90)
    wait_until_covered(second)
    assert_exact(settings, len(made))


def settings_of_another(settings: Settings) -> Settings:
    return replace(settings, metrics_port=free_port())


def wait_until_covered(settings: Settings) -> None:
    """Give outputs that follow the last row the time to be written: the lists cover every row."""

    def all_covered() -> bool:
        newest: dict[str, dict[str, int]] = {}
        for made in lists(settings):
            known = newest.setdefault(made.user_id, {})
            for source, offset in made.applied.items():
                known[source] = max(known.get(source, -1), offset)
        return newest == {user_id: row.offsets for user_id, row in states(settings).items()}

    wait_for(all_covered, "a list for every row")


@pytest.mark.parametrize("batch_max", [1, 7])
def test_small_batches_give_the_same_rows(settings, start_worker, batch_max) -> None:
    made = events(300, seed=4)
    send(settings, made)
    start_worker(settings, STREAM_APP_BATCH_MAX=str(batch_max)).wait_until_ready()
    wait_for(lambda: applied_events(settings) >= len(made), "all events applied")
    wait_until_covered(settings)
    assert_exact(settings, len(made))


def test_what_retention_deleted_is_logged_and_passed_over(settings, start_worker) -> None:
    made = events(400, seed=5)
    worker = start_worker(settings).wait_until_ready()
    send(settings, made[:100])
    wait_for(lambda: applied_events(settings) == 100, "the first events")
    assert worker.terminate() == 0, worker.output
    send(settings, made[100:300])
    delete_all_records(settings, settings.topic_prefix + "clicks")
    send(settings, made[300:])
    worker = start_worker(settings).wait_until_ready()
    kept = 100 + sum(isinstance(event, Purchase) for event in made[100:300]) + 100
    wait_for(lambda: applied_events(settings) == kept, "everything that is still there")
    assert "were deleted by retention before they were read" in worker.output
    lost = sum(not isinstance(event, Purchase) for event in made[100:300])
    shown = f'stream_app_degradations_total{{kind="events_unread"}} {lost}.0'
    assert shown in worker.get("/metrics")[1]
    wait_until_covered(settings)
    assert worker.terminate() == 0, worker.output


def delete_all_records(settings: Settings, topic: str) -> None:
    """What retention does, now: the topic begins at its present end."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    partitions = [TopicPartition(topic, number, OFFSET_END) for number in range(PARTITIONS)]
    for future in admin.delete_records(partitions).values():
        future.result(30)
