"""What the broker accepts is read, whatever aiokafka's parser makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from stream_app.streaming import lenient
from tests.hostile.raw import batch, record

PARTITION = TopicPartition("clicks", 0)


@pytest.fixture(autouse=True, scope="module")
def _installed() -> Iterator[None]:
    kept = (fetcher.MemoryRecords, PartitionRecords.__init__, PartitionRecords.__next__)
    lenient.install()
    yield
    fetcher.MemoryRecords, PartitionRecords.__init__, PartitionRecords.__next__ = kept


def read(data: bytes, offset: int = 0) -> list[Any]:
    return list(partition_records(data, offset))


def partition_records(data: bytes, offset: int = 0) -> Any:
    records = fetcher.MemoryRecords(data)
    return PartitionRecords(PARTITION, records, None, offset, None, None, True, READ_UNCOMMITTED)


def fields(records: Sequence[Any]) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(one.offset, one.key, one.value) for one in records]


GOOD = batch([record(0, b"a", b"1"), record(1, b"b", b"2", [(b"n", b"x")])], base_offset=7)


def test_a_sound_batch_is_never_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lenient, "_reread", None)
    data = GOOD + batch([record(0, b"c", None)], base_offset=9)
    assert fields(read(data, 7)) == [(7, b"a", b"1"), (8, b"b", b"2"), (9, b"c", None)]
    assert fields(read(data, 0)) == [(7, b"a", b"1"), (8, b"b", b"2"), (9, b"c", None)]


def test_a_header_name_that_is_not_utf8_is_shown_with_backslashes() -> None:
    bad = batch(
        [record(0, b"a", b"1"), record(1, b"b", b"2", [(b"\xff\xfe", None), (b"ok", b"x")])]
    )
    first, second = read(bad)
    assert (first.offset, first.key, first.headers) == (0, b"a", ())
    assert (second.offset, second.key, second.value) == (1, b"b", b"2")
    assert second.headers == (("\\xff\\xfe", None), ("ok", b"x"))


@pytest.mark.parametrize("attributes", [1, 0x7F, 0x80, 0xFF])
def test_any_attributes_are_one_byte(attributes: int) -> None:
    odd = [record(n, b"key", b"value", attributes=attributes) for n in range(3)]
    assert fields(read(batch(odd))) == [(n, b"key", b"value") for n in range(3)]


@pytest.mark.parametrize("deltas", [(0, 2, 2), (0, 5, 1), (0, 0, 0), (2, 1, 0), (-1, 7, -9)])
def test_offsets_are_counted_where_none_can_be_missing(deltas: Sequence[int]) -> None:
    odd = batch([record(delta, b"k%d" % n, b"v") for n, delta in enumerate(deltas)], base_offset=4)
    expected = [(4 + n, b"k%d" % n, b"v") for n in range(3)]
    assert fields(read(odd, 4)) == expected, "alone"
    behind = batch([record(0, b"a", b"1")], base_offset=7)
    assert fields(read(odd + behind, 4)) == [*expected, (7, b"a", b"1")], "with one behind"
    assert fields(read(odd + behind, 6)) == [*expected[2:], (7, b"a", b"1")], "from the middle"


def test_what_compaction_left_keeps_its_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lenient, "_reread", None)
    left = batch([record(1, b"a", b"1"), record(4, b"b", b"2")], last_offset_delta=6)
    data = left + batch([record(0, b"c", b"3")], base_offset=20)
    assert fields(read(data)) == [(1, b"a", b"1"), (4, b"b", b"2"), (20, b"c", b"3")]


def test_what_compaction_left_keeps_its_offsets_when_a_name_is_bad() -> None:
    left = batch(
        [record(1, b"a", b"1"), record(4, b"b", b"2", [(b"\xff", b"")])], last_offset_delta=6
    )
    assert fields(read(left)) == [(1, b"a", b"1"), (4, b"b", b"2")]


def test_the_rest_of_a_fetch_is_read_and_the_next_fetch_follows() -> None:
    bad = batch([record(0, b"b", b"2", [(b"\xff", b"")])], base_offset=9)
    last = batch([record(0, b"c", b"3")], base_offset=10)
    reading = partition_records(GOOD + bad + last, 7)
    assert [one.offset for one in reading] == [7, 8, 9, 10]
    assert reading.next_fetch_offset == 11


def test_a_wrong_checksum_stays_an_error() -> None:
    bad = bytearray(batch([record(0, b"a", b"1", [(b"\xff", b"")])], base_offset=9))
    bad[-1] ^= 1
    with pytest.raises(CorruptRecordException, match="CRC"):
        read(bytes(bad), 9)
    with pytest.raises(CorruptRecordException, match="CRC"):
        read(GOOD + bytes(bad), 7)


def test_a_record_that_is_cut_stays_an_error() -> None:
    whole = record(0, b"key", b"value")
    with pytest.raises((CorruptRecordException, IndexError)):
        read(batch([whole[:-3]]))


RECORDS = st.lists(
    st.tuples(
        st.none() | st.binary(max_size=300),
        st.none() | st.binary(max_size=300),
        st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=200)), max_size=3),
    ),
    min_size=1,
    max_size=5,
)


@given(RECORDS, st.sampled_from([0, 1]))
def test_the_lenient_parser_reads_what_the_fast_one_reads(made: Any, compression: int) -> None:
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, 0, 1 << 20)
    for at, (key, value, headers) in enumerate(made):
        builder.append(at, 1_700_000_000_000 + at, key, value, headers)
    data = bytes(builder.build())
    fast = read(data)
    slow = partition_records(data)
    slow._records = lenient.LenientRecords(slow._records, 0)
    assert list(slow) == fast
    assert [(one.key, one.value, list(one.headers)) for one in fast] == made
