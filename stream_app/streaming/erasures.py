"""Who was erased, and when, as far as it can still matter: the topic `erasures` in memory.

An event may be read long after its user's erasure: from a topic that lags behind, again after a
failure, or replayed from the dead letters. So a worker knows all requests of its partitions that
the topic holds before it handles the first event, and adds those that it handles.
About 220 bytes for each user who was erased within the retention of the topic.

Users are known by Python's own 64-bit hash, which costs nothing to look up in every batch: of a
million erased users, one of 10^13 others would be taken for one of them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from schemas import RejectedMessage, decode_erasure
from stream_app.degradations import Degradation, degraded
from stream_app.streaming.changelog import ChangelogReader
from stream_app.users.erasure import Erasure

log = logging.getLogger(__name__)


class Erasures:
    """The newest erasure of users by partition; used from the event loop only."""

    def __init__(self, reader: ChangelogReader) -> None:
        """`reader` reads the topic of requests."""
        self._reader = reader
        self._known: dict[int, dict[int, Erasure]] = {}
        self._next_offset: dict[int, int] = {}
        self.added: Counter[int] = Counter()
        """How often something became known, by partition."""

    async def take(self, partitions: Collection[int]) -> None:
        """Know all requests of exactly `partitions`. It can be cancelled at any await."""
        for lost in self._known.keys() - set(partitions):
            del self._known[lost], self._next_offset[lost]
        for partition in partitions:
            self._known.setdefault(partition, {})
            self._next_offset.setdefault(partition, 0)
        await self._read(dict(self._next_offset))

    def add(self, partition: int, user: bytes, erasure: Erasure) -> None:
        """A request was handled."""
        known = self._known.get(partition)
        if known is not None:  # otherwise the partition has moved away meanwhile
            key = hash(user)
            known[key] = erasure.and_then(known.get(key))
            self.added[partition] += 1

    def find(self, users: Iterable[tuple[int, bytes | None]]) -> dict[bytes, Erasure]:
        """The erasures of those of the users who were erased, by user id."""
        if not any(self._known.values()):
            return {}
        found: dict[bytes, Erasure] = {}
        for partition, user in users:
            known = self._known.get(partition)
            if known and user and (erasure := known.get(hash(user))):
                found[user] = erasure
        return found

    def newest_ms(self) -> Mapping[int, int]:
        """Append time of the newest request by partition, for partitions that have any."""
        return {
            partition: max(erasure.at_ms for erasure in known.values())
            for partition, known in self._known.items()
            if known
        }

    def forget_before(self, time_ms: int) -> int:
        """Drop requests from before a time that no record reaches back to; returns how many."""
        dropped = 0
        for known in self._known.values():
            old = [key for key, erasure in known.items() if erasure.at_ms < time_ms]
            for key in old:
                del known[key]
            dropped += len(old)
        return dropped

    async def _read(self, since: Mapping[int, int]) -> None:
        shorter = []
        async for partition, records, next_offset in self._reader.read(since):
            if next_offset < since[partition]:
                shorter.append(partition)
                continue
            for record in records:
                self._note(partition, record)
            self._next_offset[partition] = next_offset
        if shorter:
            degraded(Degradation.TOPIC_SHORTENED)
            log.error("the topic of erasures is shorter than it was: reading all of it again")
            self._known |= {partition: {} for partition in shorter}
            await self._read(dict.fromkeys(shorter, 0))

    def _note(self, partition: int, record: Any) -> None:
        try:
            request = decode_erasure(record.value, key=record.key)
        except RejectedMessage:
            return  # it becomes a dead letter when it is handled
        erasure = Erasure(record.timestamp, record.offset)
        self.add(partition, request.user_id.encode(), erasure)
