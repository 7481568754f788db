"""The user rows of the partitions that this worker owns: taken over, read, written, repaired.

Every owner of a partition has a number of its own, the epoch, which is in all rows that it writes
(`rows`). It is the generation of the consumer group, or, where the newest epoch on the changelog is
not lower, the sum of both: Kafka counts generations anew when a group was forgotten. A worker that
was stopped while it took over sees the same, which is then the epoch of the owner after it; so
before it goes above its generation, a worker asks the group whether it is still a member.

A worker that was stopped for longer than its session may still write after its partitions moved.
The present owner notices: the broker places the owner's next rows behind a record that it does not
know. It then reads what was written in between and writes the valid rows again, because compaction
would keep whichever record is the last.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from stream_app.degradations import Degradation, degraded
from stream_app.observability.logging import at
from stream_app.streaming.changelog import ChangelogReader
from stream_app.streaming.merge import Merge
from stream_app.streaming.publisher import Delivered, Publisher, Record
from stream_app.streaming.rows import Stamp, removal_headers, restamped, seal, stamp_of, unseal
from stream_app.streaming.stores import Position, RowStore

log = logging.getLogger(__name__)

Change = tuple[int, bytes, bytes | None]
"""Partition, user id and encoded state; None removes the row."""

NOBODY = b""
"""Key of records that say nothing: no user id is empty."""

REWRITE_ROWS = 500
"""Rows that are written again at once: about as many as a batch of events has."""


@dataclass(slots=True)
class _Owned:
    epoch: int
    position: Position
    unmended: int | None = None
    """Offset of the first late record whose user's valid row has still to be written again."""
    superseded: bool = False
    """A newer owner has written: nothing may be published until the next takeover."""

    @property
    def stored(self) -> Position:
        """Where the next takeover has to begin to read."""
        if self.unmended is None:
            return self.position
        return Position(self.unmended, self.position.newest_epoch)


async def _yes() -> bool:
    return True


class UserRows:
    """Rows by partition and user id; used from the event loop only."""

    def __init__(
        self, store: RowStore, topic: str, reader: ChangelogReader, publisher: Publisher
    ) -> None:
        """`topic` is the changelog."""
        self._store = store
        self._topic = topic
        self._reader = reader
        self._publisher = publisher
        self._owned: dict[int, _Owned] = {}
        self._opened: set[int] = set()
        self._rewriting = 0
        self._purging = False
        self.term = 0
        """Number of takeovers so far. What was read in one term must not be written in another."""
        self._writing = asyncio.Lock()
        self.sweeping = asyncio.Lock()
        """Held by whoever scans rows: a store cannot be opened anew while it is scanned."""
        self.late = 0
        """Rows that were refused so far: written late by another owner, or damaged."""

    @property
    def partitions(self) -> Collection[int]:
        """Partitions whose rows are complete."""
        return self._owned.keys()

    @property
    def remaining(self) -> int:
        """Changelog records still to read, and to write again, before the rows are complete."""
        return self._reader.remaining + self._rewriting

    def count(self) -> int:
        """Rows of all owned partitions."""
        return sum(self._store.count(partition) for partition in self._owned)

    async def take(
        self,
        partitions: Collection[int],
        generation: int,
        is_member: Callable[[], Awaitable[bool]] = _yes,
    ) -> bool:
        """Own exactly `partitions` from now on; returns when their rows are complete.

        What is kept from the generation before is only brought up to date. It can be cancelled at
        any await: nothing is owned before all of it is complete. `is_member` tells whether the
        group, asked now, has this worker in that generation; where it is needed and does not hold,
        nothing is owned, and the answer is False.
        """
        self.term += 1
        if self._purging:  # its store must not be closed meanwhile
            async with self.sweeping:
                pass
        async with self._writing:
            self._owned = {}
            for lost in self._opened - set(partitions):
                self._store.close(lost)
            self._opened = set(partitions)
            found = {partition: self._store.open(partition) for partition in partitions}
            merges = {part: self._merge(part, at) for part, at in found.items()}
            reached = await self._fold({part: at.next_offset for part, at in found.items()}, merges)
            newest = max((at.newest_epoch for at in reached.values()), default=0)
            if newest >= generation and not await is_member():
                return False
            claims: dict[int, dict[bytes, bytes | None]] = {}
            for partition, position in reached.items():
                epoch = generation
                if position.newest_epoch >= generation:
                    epoch += position.newest_epoch
                    claims[partition] = {NOBODY: None}  # the next owner must not come to less
                self._owned[partition] = _Owned(epoch, position, merges[partition].unmended)
            await self._write_again(merges, {})
            if claims:
                await self._publish(claims)
        return True

    def read(self, users: Iterable[tuple[int, bytes]]) -> dict[bytes, bytes | None]:
        """Encoded states by user id. A damaged row is given as it is, and does not decode."""
        wanted: dict[int, set[bytes]] = defaultdict(set)
        for partition, user in users:
            wanted[partition].add(user)
        states: dict[bytes, bytes | None] = {}
        for partition, keys in wanted.items():
            for user, row in zip(keys, self._store.get(partition, keys), strict=True):
                states[user] = row and _state(row)
        return states

    async def write(
        self,
        changes: Iterable[Change],
        written_ms: int,
        also: Iterable[Record] = (),
        term: int | None = None,
    ) -> bool:
        """Publish rows, and other records with them; returns when the broker has everything.

        False when the rows were read in another `term` or a newer owner was seen before, so that
        nothing is published, or when one has written meanwhile: nothing of it may be acknowledged.
        `written_ms` is the time that the rows are stamped with. They are in the store only then,
        so that it never holds what the changelog does not.
        """
        async with self._writing:
            if term is not None and term != self.term:
                return False
            rows: dict[int, dict[bytes, bytes | None]] = defaultdict(dict)
            for partition, user, state in changes:
                if not self._may_write(partition):
                    return False
                stamp = Stamp(self._owned[partition].epoch, written_ms)
                rows[partition][user] = None if state is None else seal(state, stamp)
            return await self._publish(rows, also)

    async def expire(self, partition: int, users: Collection[bytes], before_ms: int) -> int:
        """Remove those of the users whose row was written before a time; returns how many."""
        async with self._writing:
            if not self._may_write(partition):
                return 0
            rows = zip(users, self._store.get(partition, users), strict=True)
            silent = {user: None for user, row in rows if row and is_silent(row, before_ms)}
            if silent:
                await self._publish({partition: dict(silent)})
            return len(silent)

    async def push(self, partition: int, topics: Iterable[str] = ()) -> None:
        """Append a record that says nothing, so that the broker can go on with compaction.

        It closes a segment only when something is appended, and compacts only closed ones. The
        same for the partition of that number of other compacted `topics`.
        """
        also = [(topic, partition, NOBODY, None, ()) for topic in topics]
        async with self._writing:
            if self._may_write(partition):
                await self._publish({partition: {NOBODY: None}}, also)

    async def purge(self, partition: int) -> None:
        """Let the store forget removed rows for good."""
        async with self.sweeping:
            if partition not in self._owned:
                return
            self._purging = True
            try:
                await asyncio.to_thread(self._store.compact, partition)
            finally:
                self._purging = False
            async with self._writing:
                if partition in self._owned:
                    self._store.reopen(partition)

    def drop_unused(self) -> None:
        """Delete copies of partitions that are of no use to this worker any more."""
        self._store.drop_unused()

    def scan(self, partition: int, size: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Sealed rows of an owned partition in slices; they may change between slices."""
        return self._store.scan(partition, size)

    def _may_write(self, partition: int) -> bool:
        owned = self._owned.get(partition)
        return owned is not None and not owned.superseded

    async def _publish(
        self, rows: Mapping[int, dict[bytes, bytes | None]], also: Iterable[Record] = ()
    ) -> bool:
        """Publish sealed rows and keep them; False when a newer owner has written meanwhile."""
        outbox = self._publisher.outbox()
        for partition, changed in rows.items():
            removed = removal_headers(self._owned[partition].epoch)
            for user, row in changed.items():
                headers = removed if row is None else ()
                outbox.add(self._topic, partition, user, row, headers)
        for record in also:
            outbox.add(*record)
        delivered = await outbox.deliver()
        shorter = self._cut_short(delivered)
        intruded = self._keep(rows, delivered)
        for partition in shorter:
            await self._write_all(partition)
        return await self._repair(intruded) if intruded else True

    def _cut_short(self, delivered: Iterable[Delivered]) -> set[int]:
        """Partitions in which the brokers have lost records that they had acknowledged."""
        short = set()
        for batch in delivered:
            owned = self._owned[batch.partition] if batch.topic == self._topic else None
            if owned is not None and 0 <= batch.offset < owned.position.next_offset:
                short.add(batch.partition)
                owned.position = owned.position._replace(next_offset=batch.offset)
        return short

    async def _write_all(self, partition: int) -> None:
        """Publish every row of the store, which knows more than the topic now."""
        degraded(Degradation.TOPIC_SHORTENED)
        log.error("%s/%d has lost acknowledged rows: writing all again", self._topic, partition,
                  extra=at(self._topic, partition))  # fmt: skip
        for rows in list(self._store.scan(partition, REWRITE_ROWS)):
            await self._publish({partition: dict(rows)})

    def _keep(
        self, rows: Mapping[int, dict[bytes, bytes | None]], delivered: Iterable[Delivered]
    ) -> set[int]:
        """Put acknowledged rows into the store; returns the partitions that others wrote to."""
        intruded = set()
        for batch in sorted(delivered, key=lambda batch: batch.offset):
            if batch.topic != self._topic:
                continue
            owned = self._owned[batch.partition]
            expected = owned.position.next_offset
            if batch.offset == expected and batch.partition not in intruded:
                newest = max(owned.epoch, owned.position.newest_epoch)
                owned.position = Position(expected + batch.records, newest)
            else:
                intruded.add(batch.partition)
        for partition, changed in rows.items():
            self._store.write(partition, changed, self._owned[partition].stored)
        return intruded

    async def _repair(self, partitions: Collection[int]) -> bool:
        """Read what others wrote, and write again the rows that it hides.

        False when one of them is a newer owner: then the rows are for that one to mend.
        """
        merges = {
            partition: Merge(
                partial(self._store.get, partition),
                floor=self._owned[partition].epoch,
                newest_epoch=self._owned[partition].position.newest_epoch,
            )
            for partition in partitions
        }
        since = {part: self._owned[part].position.next_offset for part in partitions}
        earlier: dict[int, int | None] = {}
        for partition, position in (await self._fold(since, merges)).items():
            owned = self._owned[partition]
            owned.position = position
            earlier[partition] = owned.unmended
            if owned.unmended is None:
                owned.unmended = merges[partition].unmended
            if position.newest_epoch > owned.epoch:
                log.warning("partition %d has a newer owner: the session has ended", partition,
                            extra=at(self._topic, partition))  # fmt: skip
                owned.superseded = True
                del merges[partition]
        await self._write_again(merges, earlier)
        return len(merges) == len(partitions)

    def _merge(self, partition: int, at: Position) -> Merge:
        """Continue a copy that reaches to a position, or begin one."""
        get = partial(self._store.get, partition)
        if at.next_offset == 0:
            return Merge(get)
        return Merge(get, floor=at.newest_epoch, newest_epoch=at.newest_epoch)

    async def _fold(
        self, since: Mapping[int, int], merges: dict[int, Merge]
    ) -> dict[int, Position]:
        """Bring the store from the offsets in `since` to the present ends, which are returned.

        What is stored is a position from which late records are found again, until the rows that
        they hide have been written.
        """
        reached: dict[int, Position] = {}
        shorter = []
        async for partition, records, next_offset in self._reader.read(since):
            if next_offset < since[partition]:
                shorter.append(partition)
                continue
            merge = merges[partition]
            changed = merge.fold(records)
            reached[partition] = Position(next_offset, merge.newest_epoch)
            begin = next_offset if merge.unmended is None else merge.unmended
            self._store.write(partition, changed, Position(begin, merge.newest_epoch))
        for partition in shorter:
            degraded(Degradation.TOPIC_SHORTENED)
            log.error("%s/%d is shorter than it was: reading all of it again", self._topic,
                      partition, extra=at(self._topic, partition))  # fmt: skip
            self._store.clear(partition)
            merges[partition] = self._merge(partition, Position())
        if shorter:
            reached |= await self._fold(dict.fromkeys(shorter, 0), merges)
        return reached

    async def _write_again(
        self, merges: Mapping[int, Merge], earlier: Mapping[int, int | None]
    ) -> None:
        """Put the valid rows behind the late or damaged ones that stand last on the topic.

        `earlier` are late records by partition that somebody further up is about to cover.
        """
        try:
            for partition, merge in merges.items():
                self.late += merge.late
                users = list(merge.stale)
                if not users:
                    continue
                log.warning("partition %d: %d rows stood before late ones", partition, len(users),
                            extra=at(self._topic, partition))  # fmt: skip
                for start in range(0, len(users), REWRITE_ROWS):
                    self._rewriting = len(users) - start
                    await self._cover(partition, users[start : start + REWRITE_ROWS])
                owned = self._owned[partition]
                owned.unmended = earlier.get(partition)
                self._store.write(partition, {}, owned.stored)
        finally:
            self._rewriting = 0

    async def _cover(self, partition: int, users: list[bytes]) -> None:
        epoch = self._owned[partition].epoch
        rows = self._store.get(partition, users)
        mended = [row and restamped(row, epoch) for row in rows]
        await self._publish({partition: dict(zip(users, mended, strict=True))})


def is_silent(row: bytes, before_ms: int) -> bool:
    """Whether a row was written before a time; a damaged one stays, somebody has to look at it."""
    try:
        return stamp_of(row).written_ms < before_ms
    except ValueError:
        return False


def _state(row: bytes) -> bytes:
    try:
        return unseal(row)
    except ValueError:
        return row
