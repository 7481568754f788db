"""Lets the topics of a user advance together in time while there is a backlog.

A fetch gives what one partition has, up to a megabyte, before it gives anything of the next. After
an outage the purchases of a user would so be read hours ahead of the clicks: no event is lost, but
most are late, and a late event costs a replay of the user's whole history. Of the partitions with
one number, the one that has been read least far in time is therefore read first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from faust.types import TP

MAX_RECORDS = 128
"""Records per fetch: how far one partition may get ahead of another. Always, because a backlog is
only known from the answer to the first fetch after it has built up."""


class _Read(NamedTuple):
    next_offset: int
    timestamp_ms: int


class TimeAlignment:
    """Remembers how far each partition was read and chooses those to read next."""

    def __init__(self) -> None:
        self._read: dict[TP, _Read] = {}
        self._waited = False

    def choose(self, active: frozenset[TP], end: Callable[[TP], int | None]) -> frozenset[TP]:
        """The partitions of `active` that are not ahead of one of their number with a backlog.

        `end(tp)` is the next offset that the broker will give out, as far as is known. One that
        is behind holds the others back also while it is not active because its queue is full; so
        the choice can be empty. After a fetch that gave nothing, all are chosen: what is known of
        the ends was out of date.
        """
        if self._waited:
            return active
        numbers: dict[int, list[TP]] = defaultdict(list)
        for tp in active | self._read.keys():
            numbers[tp.partition].append(tp)
        ahead: set[TP] = set()
        for siblings in numbers.values():
            behind = [tp for tp in siblings if self._has_backlog(tp, end)]
            if behind and len(siblings) > 1:
                oldest = min(self._read[tp].timestamp_ms for tp in behind)
                ahead.update(tp for tp in siblings if self._is_after(tp, oldest))
        return active - ahead

    def forget(self, partitions: Iterable[TP]) -> None:
        """These partitions will be read from another position, or by another worker."""
        for tp in partitions:
            self._read.pop(tp, None)

    def observe(self, fetched: Mapping[TP, Sequence[Any]]) -> None:
        """Records were fetched, by partition and in order."""
        self._waited = not fetched
        for tp, records in fetched.items():
            if records:
                self._read[tp] = _Read(records[-1].offset + 1, records[-1].timestamp)

    def _has_backlog(self, tp: TP, end: Callable[[TP], int | None]) -> bool:
        read = self._read.get(tp)
        return read is not None and (end(tp) or 0) > read.next_offset

    def _is_after(self, tp: TP, timestamp_ms: int) -> bool:
        read = self._read.get(tp)
        return read is not None and read.timestamp_ms > timestamp_ms
