"""Every store of rows keeps the same promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.streaming.rocksdb import RocksRows
from stream_app.streaming.stores import MAX_AGE_MS, MemoryRows, Position, RowStore

MakeStore = Callable[[], RowStore]


@pytest.fixture(params=["memory", "rocksdb"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    return MemoryRows if request.param == "memory" else lambda: RocksRows(tmp_path / "rows")


@pytest.fixture
def store(make: MakeStore) -> RowStore:
    store = make()
    assert store.open(0) == Position()
    store.open(1)
    return store


def everything(store: RowStore, partition: int, size: int = 2) -> dict[bytes, bytes]:
    return {user: row for part in store.scan(partition, size) for user, row in part}


def test_rows_are_found_in_the_order_asked(store: RowStore) -> None:
    store.write(0, {b"a": b"1", b"": b"empty key", b"\xff\x00": b"2"}, Position(3, 1))
    assert store.get(0, [b"\xff\x00", b"nobody", b"a", b""]) == [b"2", None, b"1", b"empty key"]
    assert store.get(1, [b"a"]) == [None]
    assert store.get(0, []) == []


def test_rows_are_replaced_and_removed(store: RowStore) -> None:
    store.write(0, {b"a": b"1", b"b": b"2"}, Position(2, 1))
    store.write(0, {b"a": b"3", b"b": None, b"never there": None}, Position(5, 2))
    assert everything(store, 0) == {b"a": b"3"}
    assert store.open(0) == Position(5, 2)


def test_compaction_keeps_what_is_there(store: RowStore) -> None:
    rows = {b"user-%d" % number: b"%d" % number for number in range(7)}
    store.write(0, {**rows, b"gone": b"1"}, Position(7, 1))
    store.write(0, {b"gone": None}, Position(8, 1))
    store.compact(0)
    store.reopen(0)
    assert everything(store, 0) == rows
    assert store.open(0) == Position(8, 1)
    store.drop_unused()
    assert everything(store, 0) == rows


def test_a_scan_comes_in_slices_and_gives_all(store: RowStore) -> None:
    rows = {b"user-%d" % number: b"%d" % number for number in range(7)}
    store.write(0, rows, Position(7, 1))
    slices = list(store.scan(0, 3))
    assert [len(part) for part in slices] == [3, 3, 1]
    assert everything(store, 0) == rows


def test_rows_may_be_removed_during_a_scan(store: RowStore) -> None:
    rows = {b"user-%d" % number: b"%d" % number for number in range(7)}
    store.write(0, rows, Position(7, 1))
    seen = set()
    for part in store.scan(0, 2):
        seen |= {user for user, _ in part}
        store.write(0, {user: None for user, _ in part}, Position(8, 1))
    assert seen == set(rows)
    assert everything(store, 0) == {}


def test_clear_forgets_rows_and_position(store: RowStore) -> None:
    store.write(0, {b"a": b"1"}, Position(9, 3))
    store.clear(0)
    assert everything(store, 0) == {}
    assert store.open(0) == Position()


def test_the_count_is_about_right(store: RowStore) -> None:
    assert store.count(0) == 0
    store.write(0, {b"a": b"1", b"b": b"2"}, Position(2, 1))
    assert store.count(0) == 2


def test_memory_forgets_a_partition_that_moved_away() -> None:
    store = MemoryRows()
    store.open(0)
    store.write(0, {b"a": b"1"}, Position(9, 3))
    store.close(0)
    assert store.open(0) == Position()
    assert everything(store, 0) == {}


def test_rocksdb_keeps_a_partition_over_a_restart(tmp_path: Path) -> None:
    first = RocksRows(tmp_path)
    first.open(4)
    first.write(4, {b"a": b"1"}, Position(9, 3))
    first.release()
    second = RocksRows(tmp_path)
    assert second.open(4) == Position(9, 3)
    assert everything(second, 4) == {b"a": b"1"}


@pytest.mark.parametrize("later_ms", [MAX_AGE_MS, -1])
def test_rocksdb_does_not_trust_an_old_copy(tmp_path: Path, later_ms: int) -> None:
    """Tombstones that it has not read may be gone from the changelog."""
    now = 1_700_000_000_000
    first = RocksRows(tmp_path, lambda: now)
    first.open(0)
    first.write(0, {b"erased": b"1"}, Position(9, 3))
    first.release()
    second = RocksRows(tmp_path, lambda: now + later_ms)
    assert second.open(0) == Position()
    assert everything(second, 0) == {}


def test_a_directory_in_use_is_refused_with_what_to_do(tmp_path: Path) -> None:
    first = RocksRows(tmp_path)
    with pytest.raises(UserError, match="state_dir of its own"):
        RocksRows(tmp_path)
    first.release()
    RocksRows(tmp_path)


@pytest.mark.parametrize("later_ms", [MAX_AGE_MS, -1])
def test_memory_does_not_trust_what_was_not_used_for_long(later_ms: int) -> None:
    """A process that was suspended for a day."""
    now = [1_700_000_000_000]
    store = MemoryRows(lambda: now[0])
    store.open(0)
    store.write(0, {b"erased": b"1"}, Position(9, 3))
    assert store.open(0) == Position(9, 3)
    now[0] += later_ms
    assert store.open(0) == Position()
    assert everything(store, 0) == {}


def test_a_scan_that_waits_does_not_hold_the_database(tmp_path: Path) -> None:
    store = RocksRows(tmp_path)
    store.open(0)
    store.write(0, {b"user-%d" % number: b"1" for number in range(7)}, Position(7, 1))
    scan = store.scan(0, 3)
    seen = dict(next(scan))
    store.reopen(0)
    for rows in scan:
        seen |= dict(rows)
    assert len(seen) == 7
