"""Reads the records that aiokafka's parser cannot, so that no client can stop a partition with one.

The broker looks at less of a record than aiokafka does. It accepts a header name that is not UTF-8
(aiokafka raises), any value of the attributes byte (aiokafka takes 0x80 and above for the first of
two bytes, and is one byte off for the rest of the record), and in a batch without compression any
offset delta (aiokafka believes it: a hole in the offsets, or records that it skips). Each of these
would end the worker, and again after every restart.

A batch that the fast parser fails on, that comes out with a hole, or of which the first part was
read earlier, is read by the parser here: header names with `backslashreplace`, offsets by counting.
Everything else is untouched; the price is one comparison of integers per record.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from struct import Struct
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import MemoryRecords

_HEADER = Struct(">qiibIhiqqqhii")
"""Of a record batch, format 2: base offset, bytes after this field, leader epoch, magic, CRC,
attributes, last offset delta, first and last timestamp, producer id and epoch, base sequence,
number of records."""
_LENGTH_ENDS = 12  # the length counts what comes after the base offset and itself
_MAGIC = 2
_UNREADABLE = (CorruptRecordException, ValueError, IndexError, OverflowError)
"""What the fast parser raises; a UnicodeDecodeError is a ValueError."""


class _Span(NamedTuple):
    """Where a batch stands in the bytes of a fetch, and on its partition."""

    begin: int
    end: int
    first_offset: int
    next_offset: int
    dense: bool
    """As many records as offsets: nothing was compacted away, so every offset has its record."""


class KeptRecords(MemoryRecords):
    """The batches of one fetch, which can be had again: aiokafka's class keeps its bytes secret."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data

    @property
    def first_offset(self) -> int:
        """Offset at which the first batch begins."""
        return int.from_bytes(self.data[:8], "big", signed=True)

    @cached_property
    def spans(self) -> list[_Span]:
        """All whole batches, in order. Computed when something is wrong, never before."""
        found, begin = [], 0
        while begin + _HEADER.size <= len(self.data):
            header = _HEADER.unpack_from(self.data, begin)
            base, length, magic, last_delta, records = (header[at] for at in (0, 1, 3, 6, 12))
            end = begin + _LENGTH_ENDS + length
            if end > len(self.data) or magic != _MAGIC:
                break
            dense = records == last_delta + 1
            found.append(_Span(begin, end, base, base + last_delta + 1, dense))
            begin = end
        return found

    @property
    def end_offset(self) -> int:
        """Offset at which the last batch ends; -1 when there is none that can be parsed here."""
        return self.spans[-1].next_offset if self.spans else -1

    def holds(self, offset: int) -> bool:
        """Whether a batch here must have a record at this offset."""
        at = bisect_right(self.spans, offset, key=lambda span: span.first_offset) - 1
        return at >= 0 and self.spans[at].dense and offset < self.spans[at].next_offset


class LenientRecords:
    """The batches of a fetch that end beyond an offset, as `PartitionRecords` asks for them."""

    def __init__(self, kept: KeptRecords, from_offset: int) -> None:
        self._data = kept.data
        self._spans = [span for span in kept.spans if span.next_offset > from_offset]

    def has_next(self) -> bool:
        """Whether `next_batch` has one more."""
        return bool(self._spans)

    def next_batch(self) -> LenientBatch:
        """The next batch, not parsed yet."""
        span = self._spans.pop(0)
        return LenientBatch(self._data[span.begin : span.end])


class LenientBatch(_DefaultRecordBatchPy):
    """aiokafka's batch in Python, with a parser of records that reads what the broker accepts."""

    _pos: int

    def _read_msg(self, *_: Any) -> Any:
        # As on the broker: the record ends where its length says, the attributes are one byte.
        length, begin = _varint(self._buffer, self._pos)
        end = begin + length
        if length < 0 or end > len(self._buffer):
            raise CorruptRecordException(f"a record of {length} bytes does not fit its batch")
        delta_ms, at = _varint(self._buffer, begin + 1)
        offset_delta, at = _varint(self._buffer, at)
        key, at = _blob(self._buffer, at, end)
        value, at = _blob(self._buffer, at, end)
        headers = _headers(self._buffer, at, end)
        self._pos = end
        counted = self._next_record_index
        appended = self.timestamp_type == self.LOG_APPEND_TIME
        return _DefaultRecordPy(
            self.base_offset + (counted if self._is_dense() else offset_delta),
            self.max_timestamp if appended else self.first_timestamp + delta_ms,
            self.timestamp_type,
            key,
            value,
            headers,
        )

    def _is_dense(self) -> bool:
        return bool(self._num_records == self.last_offset_delta + 1)


def _headers(buffer: bytearray, at: int, end: int) -> list[tuple[str, bytes | None]]:
    count, at = _varint(buffer, at)
    headers = []
    for _ in range(count):
        name, at = _blob(buffer, at, end)
        value, at = _blob(buffer, at, end)
        headers.append(((name or b"").decode("utf-8", "backslashreplace"), value))
    return headers


def _blob(buffer: bytearray, at: int, end: int) -> tuple[bytes | None, int]:
    """Bytes with their length in front; a negative length is null."""
    length, at = _varint(buffer, at)
    if length < 0:
        return None, at
    if at + length > end:
        raise CorruptRecordException(f"a field of {length} bytes does not fit its record")
    return bytes(buffer[at : at + length]), at + length


def _varint(buffer: bytearray, at: int) -> tuple[int, int]:
    """A zigzag-encoded integer and where it ends."""
    value = shift = 0
    while buffer[at] & 0x80:
        value |= (buffer[at] & 0x7F) << shift
        shift += 7
        at += 1
    value |= buffer[at] << shift
    return (value >> 1) ^ -(value & 1), at + 1


def _next(self: Any) -> Any:
    """In place of `PartitionRecords.__next__`: the same, unless something is wrong."""
    try:
        record = next(self._records_iterator)
    except StopIteration:
        if _skipped(self, self.next_fetch_offset):  # records that looked as if read before
            return _reread(self)
        self._records_iterator = None  # breaks a reference cycle, as aiokafka does
        raise
    except _UNREADABLE:
        if isinstance(self._records, LenientRecords) or self._records.end_offset <= self._following:
            raise
        return _reread(self)
    if record.offset != self._following and _skipped(self, record.offset):
        return _reread(self)
    self._following = record.offset + 1
    return record


def _skipped(self: Any, offset: int) -> bool:
    """Whether the parser should have come to `_following` before it came to `offset`."""
    return bool(
        offset > self._following
        and isinstance(self._records, KeptRecords)
        and self._records.holds(self._following)
    )


def _reread(self: Any) -> Any:
    self.next_fetch_offset = self._following
    self._records = LenientRecords(self._records, self._following)
    self._records_iterator = self._unpack_records()
    return next(self)


_init = PartitionRecords.__init__


def _init_following(self: Any, tp: Any, records: Any, aborted: Any, offset: int, *a: Any) -> None:
    self._following = offset
    if isinstance(records, KeptRecords) and records.first_offset < offset < records.end_offset:
        # In the middle of a batch, as after a restart: what is before cannot be checked.
        records = LenientRecords(records, offset)
    _init(self, tp, records, aborted, offset, *a)


def install() -> None:
    """Make every consumer of this process read leniently; calling it again changes nothing."""
    fetcher.MemoryRecords = KeptRecords
    PartitionRecords.__init__ = _init_following
    PartitionRecords.__next__ = _next
