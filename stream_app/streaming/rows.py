"""What surrounds a user's row on the changelog: who wrote it, when, and a checksum.

A row is `marker, CRC-32, epoch, written_ms` and the encoded state. The epoch numbers the owners of
a partition: a later owner has a higher one. Among rows of one epoch there is one writer, and its
rows are in order. So of two rows of a user the one of the higher epoch is the newer, and of one
epoch the later on the topic: a total order, whatever a worker that lost its partition still writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple
from zlib import crc32

MARKER = 0xC1
"""The one byte that no MessagePack value begins with."""

EPOCH_HEADER = "epoch"
"""Record header of a tombstone, which has no value that could carry its epoch (ASCII digits)."""

NO_EPOCH = -1
"""Of what carries none, a damaged row or a tombstone without the header: older than every other."""

_PREFIX = Struct(">BIQQ")
_STAMP = Struct(">QQ")
_STAMP_AT = 5  # after marker and checksum
PREFIX_BYTES = _PREFIX.size


class Stamp(NamedTuple):
    """Who wrote a row, and when."""

    epoch: int
    """Number of the owner; see `streaming.ownership`."""
    written_ms: int
    """Unix ms of the stream's clock (`expiry.StreamClock`): what expiry counts from."""


def seal(state: bytes, stamp: Stamp) -> bytes:
    """The row of an encoded state."""
    tail = _STAMP.pack(*stamp) + state
    return _PREFIX.pack(MARKER, crc32(tail), *stamp) + state


def stamp_of(row: bytes) -> Stamp:
    """Epoch and time of a row.

    Raises ValueError for bytes that are no row or were damaged since they were written.
    """
    if len(row) < PREFIX_BYTES or row[0] != MARKER:
        raise ValueError(f"{len(row)} bytes that do not begin as a user row")
    _, checksum, epoch, written_ms = _PREFIX.unpack_from(row)
    if crc32(memoryview(row)[_STAMP_AT:]) != checksum:
        raise ValueError(f"user row of {len(row)} bytes is damaged: its checksum differs")
    return Stamp(epoch, written_ms)


def removal_headers(epoch: int) -> list[tuple[str, bytes]]:
    """The headers of a tombstone."""
    return [(EPOCH_HEADER, str(epoch).encode())]


def removal_epoch(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """The epoch of a tombstone by its headers."""
    for name, value in headers:
        if name == EPOCH_HEADER and value is not None and value.isdigit():
            return int(value)
    return NO_EPOCH


def restamped(row: bytes, epoch: int) -> bytes:
    """The same row by another writer. A damaged one stays as it is."""
    try:
        stamp = stamp_of(row)
    except ValueError:
        return row
    return seal(row[PREFIX_BYTES:], Stamp(epoch, stamp.written_ms))


def unseal(row: bytes) -> bytes:
    """The encoded state in a row. Raises ValueError as `stamp_of` does."""
    stamp_of(row)
    return row[PREFIX_BYTES:]
