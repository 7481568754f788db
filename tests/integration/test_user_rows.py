"""Rows on a real changelog: taken over, overwritten by a former owner, repaired, expired."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)

from stream_app.settings import Settings
from stream_app.streaming.changelog import ChangelogReader
from stream_app.streaming.connection import client_options
from stream_app.streaming.expiry import Expiry, StreamClock
from stream_app.streaming.ownership import UserRows
from stream_app.streaming.publisher import Publisher
from stream_app.streaming.rocksdb import RocksRows
from stream_app.streaming.rows import stamp_of, unseal
from stream_app.streaming.stores import MemoryRows, RowStore
from stream_app.streaming.topics import changelog_topic
from tests.integration.topics import read_full, wait_for

NOW = 1_700_000_000_000
DAY_MS = 86_400_000


@asynccontextmanager
async def owner(settings: Settings, store: RowStore | None = None) -> AsyncIterator[UserRows]:
    """Rows of one worker."""
    options = client_options(settings)
    topic = changelog_topic(settings.app_id)
    publisher = Publisher(options, "test")
    await publisher.start()
    try:
        yield UserRows(store or MemoryRows(), topic, ChangelogReader(options, topic), publisher)
    finally:
        await publisher.stop()


@pytest.fixture(params=["memory", "rocksdb"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], RowStore]:
    """A store for a worker's name."""
    if request.param == "memory":
        return lambda name: MemoryRows()
    return lambda name: RocksRows(tmp_path / name)


def last_records(settings: Settings) -> dict[bytes, Any]:
    """What compaction would leave."""
    return {record.key: record for record in read_full(settings, changelog_topic(settings.app_id))}


def observe(clock: StreamClock, now_ms: int) -> int:
    """An event in each partition."""
    return clock.observe((partition, now_ms) for partition in range(4))


def found(rows: UserRows, *users: bytes, partition: int = 0) -> list[bytes | None]:
    states = rows.read((partition, user) for user in users)
    return [states[user] for user in users]


def test_what_one_wrote_the_next_one_reads(settings, make_store) -> None:
    async def run() -> None:
        async with owner(settings, make_store("a")) as first, owner(settings) as second:
            await first.take([0, 1], generation=1)
            await first.write([(0, b"ann", b"1"), (1, b"bob", b"2")], NOW)
            await first.write([(0, b"ann", b"3"), (1, b"cid", b"4"), (1, b"cid", None)], NOW)
            assert found(first, b"ann", b"nobody") == [b"3", None]
            await second.take([0, 1], generation=2)
            assert found(second, b"ann") == [b"3"]
            assert found(second, b"bob", b"cid", partition=1) == [b"2", None]
            assert second.count() == 2
            assert second.late == 0

    asyncio.run(run())


def test_an_owner_that_stays_reads_only_what_is_new(settings, make_store) -> None:
    async def run() -> None:
        async with owner(settings, make_store("a")) as first, owner(settings) as second:
            await first.take([0, 1], generation=1)
            await first.write([(0, b"ann", b"1"), (1, b"bob", b"1")], NOW)
            await second.take([1], generation=2)
            await second.write([(1, b"bob", b"2"), (1, b"cid", b"2")], NOW)
            await first.take([0, 1], generation=3)
            assert found(first, b"ann") == [b"1"]
            assert found(first, b"bob", b"cid", partition=1) == [b"2", b"2"]
            await first.take([0], generation=4)
            assert list(first.partitions) == [0]

    asyncio.run(run())


def test_a_former_owner_that_writes_late_is_overwritten_at_the_next_write(settings) -> None:
    async def run() -> None:
        async with owner(settings) as zombie, owner(settings) as present:
            await zombie.take([0], generation=1)
            await zombie.write([(0, b"ann", b"old"), (0, b"gone", b"old")], NOW)
            await present.take([0], generation=2)
            await present.write([(0, b"ann", b"new"), (0, b"gone", None)], NOW)
            late = [(0, b"ann", b"late"), (0, b"gone", b"late"), (0, b"unknown", b"late")]
            await zombie.write(late, NOW)
            await present.write([(0, b"bob", b"new")], NOW)
            assert present.late == 3
            assert found(present, b"ann", b"gone", b"unknown") == [b"new", None, None]
            # The former owner has noticed, too, and knows what is valid.
            assert found(zombie, b"ann", b"gone") == [b"new", None]

    asyncio.run(run())
    last = last_records(settings)
    assert unseal(last[b"ann"].value) == b"new"
    assert last[b"gone"].value is None
    assert last[b"unknown"].value is None


def test_late_rows_found_at_recovery_are_overwritten(settings, make_store) -> None:
    async def run() -> None:
        async with owner(settings) as zombie, owner(settings) as present:
            await zombie.take([0], generation=1)
            await present.take([0], generation=2)
            await present.write([(0, b"ann", b"new"), (0, b"gone", None)], NOW)
            await zombie.write([(0, b"ann", b"late"), (0, b"gone", b"late")], NOW)
        async with owner(settings, make_store("next")) as successor:
            await successor.take([0], generation=3)
            assert found(successor, b"ann", b"gone") == [b"new", None]
            assert successor.late == 2

    asyncio.run(run())
    last = last_records(settings)
    assert unseal(last[b"ann"].value) == b"new"
    assert last[b"gone"].value is None


def test_what_was_read_before_a_takeover_is_not_written_after_it(settings) -> None:
    """A slow batch of a worker whose partitions went away and came back in the meantime."""

    async def run() -> None:
        async with owner(settings) as slow, owner(settings) as other:
            await slow.take([0], generation=1)
            await slow.write([(0, b"ann", b"1")], NOW)
            term = slow.term
            assert found(slow, b"ann") == [b"1"]
            await other.take([0], generation=2)
            await other.write([(0, b"ann", b"2")], NOW)
            await slow.take([0], generation=3)
            assert not await slow.write([(0, b"ann", b"made of 1")], NOW, term=term)
            assert found(slow, b"ann") == [b"2"]
            assert await slow.write([(0, b"ann", b"3")], NOW, term=slow.term)

    asyncio.run(run())
    written = [unseal(r.value) for r in read_full(settings, changelog_topic(settings.app_id))]
    assert written == [b"1", b"2", b"3"]


class Interrupted(Exception):
    """The worker died here."""


def test_a_late_row_is_found_again_when_covering_it_was_interrupted(settings, make_store) -> None:
    async def run() -> None:
        store = make_store("present")
        async with owner(settings) as zombie, owner(settings, store) as present:
            await zombie.take([0], generation=1)
            await present.take([0], generation=2)
            await present.write([(0, b"ann", b"new"), (0, b"gone", None)], NOW)
            await zombie.write([(0, b"ann", b"late"), (0, b"gone", b"late")], NOW)
            publish, present._publish = present._publish, interrupt
            with pytest.raises(Interrupted):
                await present.take([0], generation=3)
            present._publish = publish
            await present.take([0], generation=4)
            assert found(present, b"ann", b"gone") == [b"new", None]

    async def interrupt(*_: Any) -> bool:
        raise Interrupted

    asyncio.run(run())
    last = last_records(settings)
    assert unseal(last[b"ann"].value) == b"new"
    assert last[b"gone"].value is None


def test_a_former_owner_that_comes_back_covers_what_it_wrote_late(settings) -> None:
    async def run() -> None:
        async with owner(settings) as zombie, owner(settings) as present:
            await zombie.take([0], generation=1)
            await zombie.write([(0, b"ann", b"old"), (0, b"gone", b"old")], NOW)
            await present.take([0], generation=2)
            await present.write([(0, b"ann", b"new"), (0, b"gone", None)], NOW)
            assert not await zombie.write([(0, b"ann", b"late"), (0, b"gone", b"late")], NOW)
            await zombie.take([0], generation=3)
            assert found(zombie, b"ann", b"gone") == [b"new", None]

    asyncio.run(run())
    last = last_records(settings)
    assert unseal(last[b"ann"].value) == b"new"
    assert last[b"gone"].value is None


def test_a_removed_user_is_not_brought_back_by_a_late_row(settings, make_store) -> None:
    async def run() -> None:
        async with owner(settings) as zombie, owner(settings, make_store("present")) as present:
            await zombie.take([0], generation=1)
            await present.take([0], generation=2)
            await present.write([(0, b"gone", None)], NOW)
            await zombie.write([(0, b"gone", b"late")], NOW)
            await present.take([0], generation=3)
            assert found(present, b"gone") == [None]

    asyncio.run(run())
    assert last_records(settings)[b"gone"].value is None


def test_rows_that_the_broker_has_lost_are_written_again(settings) -> None:
    """As after the election of a replica that was behind; here the topic is made anew."""

    async def run() -> None:
        async with owner(settings) as rows:
            await rows.take([0], generation=1)
            await rows.write([(0, b"user-%d" % number, b"1") for number in range(9)], NOW)
            await asyncio.to_thread(make_anew, settings)
            assert await rows.write([(0, b"user-0", b"2")], NOW)
            async with owner(settings) as successor:
                await successor.take([0], generation=2)
                assert successor.count() == 9
                assert found(successor, b"user-0", b"user-8") == [b"2", b"1"]

    asyncio.run(run())


def test_a_group_that_counts_anew_does_not_go_back(settings) -> None:
    """Kafka forgets a group that was away for a week, and its generations begin at 1 again."""

    async def run() -> None:
        async with owner(settings) as first, owner(settings) as second, owner(settings) as third:
            await first.take([0], generation=70)
            await first.write([(0, b"ann", b"1")], NOW)
            await second.take([0], generation=1)
            await second.write([(0, b"ann", b"2")], NOW)
            await third.take([0], generation=2)
            assert found(third, b"ann") == [b"2"]

    asyncio.run(run())
    records = read_full(settings, changelog_topic(settings.app_id))
    assert [stamp_of(r.value).epoch for r in records if r.value] == [70, 71]
    # An owner whose number is not the group's says so before it writes: the next one is higher.
    assert [dict(r.headers) for r in records if not r.value] == [{"epoch": b"71"}, {"epoch": b"73"}]


def test_who_was_stopped_while_it_took_over_does_not_outrank_the_owner_after_it(settings) -> None:
    """It reads the rows of its successor, and is no member of the group any more."""

    async def no_member() -> bool:
        return False

    async def run() -> None:
        async with owner(settings) as stopped, owner(settings) as present:
            await present.take([0], generation=6)
            await present.write([(0, b"ann", b"1")], NOW)
            assert not await stopped.take([0], generation=5, is_member=no_member)
            assert not stopped.partitions
            assert await present.write([(0, b"ann", b"2")], NOW)
            assert await stopped.take([0], generation=7, is_member=no_member)  # need not be asked
            assert found(stopped, b"ann") == [b"2"]

    asyncio.run(run())
    records = read_full(settings, changelog_topic(settings.app_id))
    assert [stamp_of(record.value).epoch for record in records] == [6, 6]


def test_who_has_seen_a_newer_owner_publishes_nothing_more(settings) -> None:
    async def run() -> None:
        async with owner(settings) as former, owner(settings) as present:
            await former.take([0, 1], generation=1)
            await present.take([0], generation=2)
            await present.write([(0, b"ann", b"new")], NOW)
            assert not await former.write([(0, b"ann", b"old")], NOW)  # learns of it
            assert not await former.write([(0, b"bob", b"old")], NOW)
            assert not await former.write([(1, b"cid", b"old"), (0, b"bob", b"old")], NOW)
            await former.push(0)
            assert await former.expire(0, [b"ann"], NOW + 1) == 0
            assert await former.write([(1, b"cid", b"own")], NOW)
            assert await former.take([0, 1], generation=3)
            assert await former.write([(0, b"bob", b"new")], NOW)

    asyncio.run(run())
    records = read_full(settings, changelog_topic(settings.app_id))
    assert [unseal(record.value) for record in records if record.key == b"bob"] == [b"new"]
    assert [unseal(record.value) for record in records if record.key == b"cid"] == [b"own"]
    assert all(record.key for record in records)


def test_silent_users_are_removed_and_come_back_new(settings, make_store) -> None:
    async def run() -> None:
        async with owner(settings, make_store("a")) as rows, owner(settings) as successor:
            await rows.take([0, 1], generation=1)
            clock = StreamClock()
            expiry = Expiry(rows, clock, retention_ms=30 * DAY_MS)
            await rows.write([(0, b"silent", b"1"), (1, b"active", b"1")], observe(clock, NOW))
            assert await expiry.sweep() == 0
            later = observe(clock, NOW + 31 * DAY_MS)
            await rows.write([(1, b"active", b"2")], later)
            assert await expiry.sweep() == 1
            assert found(rows, b"silent") == [None]
            assert found(rows, b"active", partition=1) == [b"2"]
            await successor.take([0, 1], generation=2)
            assert successor.count() == 1
            await successor.write([(0, b"silent", b"again")], later)
            assert found(successor, b"silent") == [b"again"]

    asyncio.run(run())
    assert unseal(last_records(settings)[b"silent"].value) == b"again"


def test_state_stays_bounded_while_new_users_keep_coming(settings, make_store) -> None:
    """A simulated day: every hour a thousand users who never come back, and one who does."""
    hour_ms, per_hour = 3_600_000, 1000

    async def run() -> None:
        async with owner(settings, make_store("a")) as rows:
            await rows.take([0], generation=1)
            clock = StreamClock()
            expiry = Expiry(rows, clock, retention_ms=2 * hour_ms)
            most = 0
            for hour in range(24):
                users = [b"user-%d-%d" % (hour, number) for number in range(per_hour)]
                changes = [(0, user, b"state") for user in (*users, b"regular")]
                await rows.write(changes, observe(clock, NOW + hour * hour_ms))
                await expiry.sweep()
                most = max(most, sum(map(len, rows.scan(0, 500))))
            assert most <= 3 * per_hour + 1
            assert found(rows, b"regular", users[0], b"user-0-0") == [b"state", b"state", None]

    asyncio.run(run())


def test_an_event_during_the_sweep_keeps_its_user(settings) -> None:
    async def run() -> None:
        async with owner(settings) as rows:
            await rows.take([0], generation=1)
            await rows.write([(0, b"ann", b"1")], NOW)
            await rows.write([(0, b"ann", b"2")], NOW + DAY_MS)
            assert await rows.expire(0, [b"ann"], before_ms=NOW + DAY_MS) == 0
            assert await rows.expire(3, [b"ann"], before_ms=NOW + 2 * DAY_MS) == 0
            assert found(rows, b"ann") == [b"2"]

    asyncio.run(run())


def test_a_changelog_that_was_made_anew_replaces_what_was_kept(settings, tmp_path) -> None:
    async def write(rows: UserRows) -> None:
        await rows.take([0], generation=1)
        for number in range(5):
            await rows.write([(0, b"ann", b"%d" % number)], NOW)

    async def first() -> None:
        store = RocksRows(tmp_path)
        async with owner(settings, store) as rows:
            await write(rows)
        store.release()

    asyncio.run(first())
    make_anew(settings)

    async def second() -> None:
        async with owner(settings, RocksRows(tmp_path)) as rows:
            await rows.take([0], generation=1)
            assert rows.count() == 0
            await rows.write([(0, b"bob", b"1")], NOW)
            assert found(rows, b"ann", b"bob") == [None, b"1"]

    asyncio.run(second())


def test_recovery_after_compaction(settings, make_store) -> None:
    """Compaction leaves the last record of every user; with holes, also at the end."""
    compact_at_once(settings)

    async def run() -> None:
        async with owner(settings) as first:
            await first.take([0], generation=1)
            await first.write([(0, b"kept", b"kept"), (0, b"removed", b"x")], NOW)
            await first.write([(0, b"removed", None)], NOW)
            for number in range(40):
                await first.write([(0, b"user-%d" % (number % 4), b"%d" % number * 500)], NOW)
                if number % 10 == 9:
                    await asyncio.sleep(0.3)  # segments are rolled by time
            written = 43
            deadline = asyncio.get_running_loop().time() + 60
            while len(await records(settings)) > written // 2:
                assert asyncio.get_running_loop().time() < deadline, "not compacted in 60 s"
                await first.write([(0, b"roll", b"")], NOW)
                written += 1
                await asyncio.sleep(0.3)
        async with owner(settings, make_store("next")) as successor:
            await successor.take([0], generation=2)
            users = [b"kept", b"removed", *(b"user-%d" % number for number in range(4))]
            last = [b"%d" % number * 500 for number in range(36, 40)]
            assert found(successor, *users) == [b"kept", None, *last]
            assert successor.late == 0

    asyncio.run(run())


async def records(settings: Settings) -> list[Any]:
    return await asyncio.to_thread(read_full, settings, changelog_topic(settings.app_id))


def compact_at_once(settings: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    small = {
        "cleanup.policy": "compact",
        "segment.ms": "200",
        "min.compaction.lag.ms": "0",
        "max.compaction.lag.ms": "500",
        "min.cleanable.dirty.ratio": "0.01",
    }
    topic = ConfigResource(
        ConfigResource.Type.TOPIC,
        changelog_topic(settings.app_id),
        incremental_configs=[
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in small.items()
        ],
    )
    for future in admin.incremental_alter_configs([topic]).values():
        future.result(30)


def make_anew(settings: Settings) -> None:
    topic = changelog_topic(settings.app_id)
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    for future in admin.delete_topics([topic]).values():
        future.result(30)
    wait_for(lambda: topic not in admin.list_topics(timeout=10).topics, "the topic is gone")

    def created() -> bool:
        for future in admin.create_topics([NewTopic(topic, 4, 1)]).values():
            return future.exception(30) is None
        return False

    wait_for(created, "the topic is there again")
