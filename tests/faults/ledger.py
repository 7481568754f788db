"""What the broker has acknowledged to the load, so that the topics can be held against it."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tests.faults.stream import Kind, Message

TOPICS = ("clicks", "purchases")

ENTRY = np.dtype(
    [
        ("topic", "u1"),
        ("kind", "u1"),
        ("partition", "u2"),
        ("user", "u4"),
        ("item", "u4"),
        ("crc", "u4"),
        ("offset", "i8"),
        ("timestamp_ms", "i8"),
    ]
)
"""One acknowledged send: 32 bytes, since a long run has a million of them."""


class Ledger:
    """Acknowledged sends, in the order of their acknowledgements."""

    def __init__(self) -> None:
        self._entries = bytearray()
        self.failed: list[str] = []
        """Errors of sends that the broker did not take: whether they are on a topic is unknown."""

    def acknowledged(self, message: Message, partition: int, offset: int) -> None:
        """Note one send."""
        entry = (
            TOPICS.index(message.topic), message.kind, partition, message.user, message.item,
            checksum(message.value), offset, message.timestamp_ms,
        )  # fmt: skip
        self._entries += np.array(entry, ENTRY).tobytes()

    @property
    def entries(self) -> NDArray[np.void]:
        """All sends so far as an array `[n]` of `ENTRY`."""
        return np.frombuffer(bytes(self._entries), ENTRY)

    def counts(self) -> dict[str, int]:
        """Number of sends by kind."""
        kinds = self.entries["kind"]
        return {kind.name.lower(): int(np.count_nonzero(kinds == kind)) for kind in Kind}

    def __len__(self) -> int:
        return len(self._entries) // ENTRY.itemsize


def checksum(value: bytes | None) -> int:
    """CRC-32 of a value; null counts as empty."""
    return crc32(value or b"")
