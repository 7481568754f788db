"""What was erased leaves the disks: the changelog's, and that of the worker."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from schemas import ERASURES, topic_name
from stream_app.cli.topics import command
from stream_app.settings import Settings
from stream_app.streaming.changelog import ChangelogReader
from stream_app.streaming.erasures import Erasures
from stream_app.streaming.expiry import SLICE_ROWS, Expiry, StreamClock
from stream_app.streaming.ownership import NOBODY
from stream_app.streaming.purge import Purge
from stream_app.streaming.retention import read_configs, retention_of
from stream_app.streaming.rocksdb import RocksRows
from stream_app.streaming.stores import MAX_AGE_MS
from stream_app.streaming.topics import changelog_topic
from stream_app.users.erasure import Erasure
from tests.integration.test_user_rows import found, owner
from tests.integration.topics import erase, read_full, wait_for

NOW = 1_700_000_000_000
USER = b"ann-who-was-erased"
HOUR_MS = 3_600_000


def reader(settings: Settings) -> ChangelogReader:
    options = {"bootstrap_servers": settings.bootstrap_servers}
    return ChangelogReader(options, topic_name(settings.topic_prefix, ERASURES))


def configure(settings: Settings, topic: str, **values: str) -> None:
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in values.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def records_of(settings: Settings, partition: int) -> list[Any]:
    changelog = read_full(settings, changelog_topic(settings.app_id))
    return [record for record in changelog if record.partition == partition]


def test_nothing_of_the_user_is_left_on_the_changelog_where_it_is_pushed(settings) -> None:
    """Kafka closes a segment, and so compacts it, only when something is appended to it."""
    configure(
        settings, changelog_topic(settings.app_id),
        min_compaction_lag_ms="0", max_compaction_lag_ms="500", delete_retention_ms="1000",
    )  # fmt: skip
    before: list[int] = []
    after: list[list[bytes | None]] = []

    async def run() -> None:
        async with owner(settings) as rows:
            await rows.take([0, 1], generation=1)
            for partition in (0, 1):
                for number in range(5):
                    await rows.write([(partition, USER, b"%d" % number)], NOW)
                await rows.write([(partition, b"bob", b"kept")], NOW)
                await rows.write([(partition, USER, None)], NOW)
            erasures = Erasures(reader(settings))
            await erasures.take([0])
            erasures.add(0, USER, Erasure(NOW, 0))
            purge = Purge(rows, erasures, None, None)
            deadline = asyncio.get_running_loop().time() + 90
            while (values := await values_of(0)) != []:
                assert asyncio.get_running_loop().time() < deadline, "not compacted in 90 s"
                if values not in after:
                    after.append(values)
                assert await purge.sweep() == 1
                await asyncio.sleep(0.3)
            before.append(len(await asyncio.to_thread(records_of, settings, 1)))
            assert found(rows, b"bob") == [b"kept"]

    async def values_of(partition: int) -> list[bytes | None]:
        records = await asyncio.to_thread(records_of, settings, partition)
        return [record.value for record in records if record.key == USER]

    asyncio.run(run())
    assert [None] in after, "the tombstone stood alone before it went, too"
    assert before == [7], "the other partition is as it was: nobody appends to it"
    kept = [record for record in records_of(settings, 0) if record.key == b"bob"]
    assert len(kept) == 1


def test_a_late_row_of_a_former_owner_does_not_survive_a_push(settings) -> None:
    async def run() -> None:
        async with owner(settings) as zombie, owner(settings) as present:
            await zombie.take([0], generation=1)
            await zombie.write([(0, USER, b"old")], NOW)
            await present.take([0], generation=2)
            await present.write([(0, USER, None), (0, b"unknown", None)], NOW)
            await zombie.write([(0, USER, b"late"), (0, b"unknown", b"late")], NOW)
            await present.push(0)
            assert present.late == 2
            assert found(present, USER, b"unknown") == [None, None]
        async with owner(settings) as successor:
            await successor.take([0], generation=3)
            assert found(successor, USER, b"unknown") == [None, None]
            await successor.push(3)  # of which it has nothing

    asyncio.run(run())
    last = {record.key: record.value for record in records_of(settings, 0)}
    assert last == {USER: None, b"unknown": None, NOBODY: None}


def files_with(directory: Path, needle: bytes) -> list[str]:
    return [
        path.name for path in directory.rglob("*") if path.is_file() and needle in path.read_bytes()
    ]


def test_nothing_of_the_user_is_left_in_a_store_on_disk(settings, tmp_path) -> None:
    """Neither value nor key, in no file: also where it is the first key of a file."""

    async def run() -> None:
        store = RocksRows(tmp_path)
        async with owner(settings, store) as rows:
            await rows.take([0], generation=1)
            await rows.write([(0, USER, b"secret of ann" * 50)], NOW)
            others = [(0, b"user-%d" % number, os.urandom(500)) for number in range(500)]
            await rows.write(others, NOW)
            await rows.purge(0)
            assert files_with(tmp_path, USER), "it is there before"
            await rows.write([(0, USER, None)], NOW)
            assert files_with(tmp_path, b"secret of ann")
            erasures = Erasures(reader(settings))
            await erasures.take([0])
            erasures.add(0, USER, Erasure(NOW, 0))
            purge = Purge(rows, erasures, HOUR_MS, None, clock_ms=lambda: NOW + HOUR_MS)
            assert await purge.sweep() == 1
            assert files_with(tmp_path, USER) == []
            assert files_with(tmp_path, b"secret of ann") == []
            assert found(rows, b"user-0", b"user-499") == [others[0][2], others[499][2]]
            assert rows.count() == 500
            late = Purge(rows, erasures, HOUR_MS, None, clock_ms=lambda: NOW + HOUR_MS + 1)
            assert await late.sweep() == 0
        store.close(0)

    asyncio.run(run())


def test_a_purge_waits_for_a_scan(settings, tmp_path) -> None:
    """RocksDB does not open a database anew while an iterator is left of the former."""

    async def run() -> None:
        store = RocksRows(tmp_path)
        async with owner(settings, store) as rows:
            await rows.take([0], generation=1)
            users = [b"user-%d" % number for number in range(2 * SLICE_ROWS)]
            await rows.write([(0, user, b"1") for user in users], NOW)
            clock = StreamClock()
            clock.observe((partition, NOW + 2 * HOUR_MS) for partition in range(4))
            expiry = Expiry(rows, clock, HOUR_MS)
            removed, _ = await asyncio.gather(expiry.sweep(), rows.purge(0))
            assert removed == len(users)
            await rows.purge(0)
            assert files_with(tmp_path, b"user-1") == []
        store.close(0)

    asyncio.run(run())


def test_a_copy_that_nobody_uses_is_deleted(settings, tmp_path) -> None:
    """The partition moved away: what is erased there is not erased here."""

    async def run() -> None:
        now_ms = time.time_ns() // 1_000_000
        store = RocksRows(tmp_path, clock_ms=lambda: now_ms)
        async with owner(settings, store) as rows:
            await rows.take([0, 1], generation=1)
            await rows.write([(0, USER, b"1"), (1, b"bob", b"1")], NOW)
            await rows.take([1], generation=2)
            rows.drop_unused()
            assert {path.name for path in tmp_path.glob("[0-9]*")} == {"0", "1"}
            now_ms += MAX_AGE_MS + HOUR_MS
            rows.drop_unused()
            assert {path.name for path in tmp_path.glob("[0-9]*")} == {"1"}
        store.close(1)

    asyncio.run(run())


def test_erasures_are_known_from_the_topic_and_forgotten_with_it(settings) -> None:
    (ann,) = erase(settings, "ann")
    erase(settings, *(f"user-{number}" for number in range(20)))

    async def run() -> None:
        erasures = Erasures(reader(settings))
        await erasures.take([0, 1, 2, 3])
        wanted = [(ann.partition, b"ann"), (ann.partition, b"nobody"), (0, None)]
        (known,) = erasures.find(wanted).items()
        assert known == (b"ann", Erasure(ann.timestamp, ann.offset))
        (again,) = await asyncio.to_thread(erase, settings, "ann")
        await erasures.take([ann.partition])
        assert erasures.find(wanted) == {b"ann": Erasure(again.timestamp, again.offset)}
        assert erasures.newest_ms().keys() == {ann.partition}
        assert erasures.forget_before(again.timestamp + 1) > 0
        assert erasures.find(wanted) == {}
        await erasures.take([])
        erasures.add(ann.partition, b"ann", Erasure(1, 1))  # its partition has moved away
        assert erasures.find(wanted) == {}

    asyncio.run(run())


def test_the_bounds_of_a_receipt_are_those_of_the_topics(settings) -> None:
    clicks = topic_name(settings.topic_prefix, ERASURES).replace("erasures", "clicks")
    held = {left.topic: left.until_ms for left in bounds(settings)}
    day = 24 * HOUR_MS
    assert 14 * day < (held[clicks] or 0) < 14.1 * day, "a segment of seven days, kept for seven"
    assert held[changelog_topic(settings.app_id)] is not None
    configure(settings, clicks, retention_ms="-1")
    held = {left.topic: left.until_ms for left in bounds(settings)}
    assert held[clicks] is None


def bounds(settings: Settings) -> Any:
    return retention_of(settings, asyncio.run(read_configs(settings))).holdings(0)


def test_the_settings_that_break_an_erasure_are_named(settings, start_worker) -> None:
    clicks = topic_name(settings.topic_prefix, ERASURES).replace("erasures", "clicks")
    configure(
        settings, clicks, message_timestamp_type="CreateTime", retention_ms=str(90 * 86_400_000)
    )
    worker = start_worker(settings).wait_until_ready()
    assert f"{clicks}: message.timestamp.type is CreateTime" in worker.output
    assert f"{clicks} may hold older events" in worker.output
    run = CliRunner().invoke(
        command,
        [
            "check", "--bootstrap-servers", settings.bootstrap_servers,
            "--topic-prefix", settings.topic_prefix, "--app-id", settings.app_id,
        ],
    )  # fmt: skip
    assert run.exit_code == 0
    assert run.stderr.count("warning: ") == 2


def test_a_request_sent_before_the_workers_first_start_is_handled(settings, start_worker) -> None:
    (placed,) = erase(settings, "ann")
    start_worker(settings)
    wait_for(
        lambda: (
            [r.offset for r in read_full(settings, settings.topic_prefix + "erasure-receipts")]
            == [0]
        ),
        "the receipt",
    )
    assert placed.offset == 0
