"""The catalogue's two agents: one takes records up on every worker, one reads texts, each once.

Records of `items` and `item-vectors` come to every worker (`CatalogueFeed`). The texts are read by
whoever owns the partition of the item in the group `<app_id>-catalogue` (`ItemAgent`): compute,
publish, wait for the broker, commit, in this order, as in the main job.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import schemas
from schemas import (
    DeadLetter,
    Item,
    ItemVector,
    Reason,
    RejectedMessage,
    decode_item,
    decode_item_vector,
)
from stream_app.bundle.text import TextSpec
from stream_app.inspector import Feed
from stream_app.live_catalogue import LiveCatalogue
from stream_app.observability.logging import at
from stream_app.observability.metrics import Metrics
from stream_app.streaming.exits import ExitCode, die
from stream_app.streaming.publisher import Outbox, Publisher, PublisherStopped
from stream_app.text import TextEncoder
from stream_app.text.items import content_of, read_items

log = logging.getLogger(__name__)

BATCH_MAX = 16
"""Items read together: a tenth of a second of one core, after which the next list can have them."""
SWEEP_S = 60.0
"""How often at most the topic is read again for items that lack a vector."""
MOST_RECENT = 10_000
"""Vectors of our own that may not have come back to the catalogue yet."""


class CatalogueFeed:
    """Hands records to the thread that recommends, so that they take effect between two batches."""

    def __init__(self, catalogue: LiveCatalogue, items: str, engine: Executor) -> None:
        """`items` is the full name of the topic; records of any other are vectors."""
        self._catalogue = catalogue
        self._items = items
        self._engine = engine

    async def take(self, records: Sequence[Any]) -> None:
        """Take up records; what is no valid message is passed over, its owner rejects it."""
        listings: list[tuple[str, Item | None]] = []
        vectors: list[tuple[str, ItemVector | None]] = []
        for record in records:
            try:
                if record.topic == self._items:
                    listings.append(decode_item(record.value, key=record.key))
                else:
                    vectors.append(decode_item_vector(record.value, key=record.key))
            except RejectedMessage as error:
                place = record.topic, record.partition, record.offset
                log.debug("%s/%d@%d: %s", *place, error.reason, extra=at(*place))
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._engine, self._catalogue.apply, listings, vectors)


class ItemAgent:
    """Reads texts of the items of its partitions and publishes their vectors."""

    def __init__(
        self,
        catalogue: LiveCatalogue,
        engine: Executor,
        spec: TextSpec | None,
        encoder: TextEncoder | None,
        publisher: Publisher,
        metrics: Metrics,
        *,
        vectors: str,
        dead_letters: str,
        letter_partitions: int,
        partition_of: Callable[[bytes], int],
        vector_partition_of: Callable[[bytes], int],
        feed: Feed | None = None,
    ) -> None:
        """`spec` and `encoder`: nothing is read unless both are there.

        `partition_of` and `vector_partition_of` tell where an item belongs in `items` and
        `item-vectors`. `feed` is told of dead letters, for the inspector.
        """
        self._catalogue = catalogue
        self._engine = engine
        self._feed = feed
        self._spec = spec
        self._encoder = encoder
        self._publisher = publisher
        self._metrics = metrics
        self._vectors = vectors
        self._dead_letters = dead_letters
        self._letter_partitions = letter_partitions
        self._partition_of = partition_of
        self._vector_partition_of = vector_partition_of
        self._recent: OrderedDict[str, bytes] = OrderedDict()
        self._sweep_at = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="text")

    async def handle(self, records: Sequence[Any], before: Sequence[bool]) -> None:
        """Publish all that follows from records; of those done `before`, only what is lacking."""
        try:
            await self._handle(records, before)
        except (asyncio.CancelledError, PublisherStopped):
            raise
        except Exception as error:
            die(ExitCode.PROCESSING, "items could not be handled", error)

    async def lacks(self, partitions: frozenset[int]) -> bool:
        """Whether items of these partitions lack a vector of the present encoder."""
        loop = asyncio.get_running_loop()
        if self._encoder is None or self._spec is None or loop.time() < self._sweep_at:
            return False
        self._sweep_at = loop.time() + SWEEP_S
        lacking = await loop.run_in_executor(self._engine, self._catalogue.lacking)
        mine = [one for one in lacking if self._partition_of(one.encode()) in partitions]
        if mine:
            log.info("%d items lack a vector of the text encoder: reading them again", len(mine))
        return bool(mine)

    async def _handle(self, records: Sequence[Any], before: Sequence[bool]) -> None:
        outbox = self._publisher.outbox()
        newest: dict[str, tuple[Any, Item | None, bool]] = {}
        letters: list[DeadLetter] = []
        for record, again in zip(records, before, strict=True):
            try:
                item_id, item = decode_item(record.value, key=record.key)
            except RejectedMessage as rejected:
                if not again:
                    self._reject(outbox, record, rejected, letters)
                continue
            newest.pop(item_id, None)
            newest[item_id] = (record, item, again)
        for item_id, (_, item, again) in newest.items():
            if item is None and not again:
                key = item_id.encode()
                outbox.add(self._vectors, self._vector_partition_of(key), key, None)
                self._remember(item_id, b"")
        wanted = await self._unread(
            [(item, again) for _, item, again in newest.values() if item is not None]
        )
        made, failed = await self._read(wanted)
        for one in made:
            key = one.item_id.encode()
            outbox.add(self._vectors, self._vector_partition_of(key), key, schemas.encode(one))
        for item_id, why in failed.items():
            unreadable = RejectedMessage(Reason.PROCESSING_ERROR, f"the text cannot be read: {why}")
            self._reject(outbox, newest[item_id][0], unreadable, letters)
        await outbox.deliver()
        for one in made:
            self._remember(one.item_id, one.content)
        self._metrics.items_read(len(made), [letter.reason for letter in letters])
        if self._feed is not None:
            self._feed.rejected(letters)

    async def _unread(self, items: Sequence[tuple[Item, bool]]) -> list[Item]:
        """Of items, those that say something that was not read yet.

        What was published here may not have come back to the catalogue, which alone is asked for
        items that are looked at again.
        """
        if self._spec is None or self._encoder is None or not items:
            return []
        name, dim = self._spec.encoder, self._spec.dim
        said = [(item.item_id, content_of(item, name, dim)) for item, _ in items]
        loop = asyncio.get_running_loop()
        unread = await loop.run_in_executor(self._engine, self._catalogue.unread, said)
        wanted = []
        for (item, again), (item_id, content), new in zip(items, said, unread, strict=True):
            if not again and item_id in self._recent:
                new = content not in (b"", self._recent[item_id])
            if new:
                wanted.append(item)
        return wanted

    async def _read(self, items: Sequence[Item]) -> tuple[list[ItemVector], dict[str, str]]:
        """What the encoder makes of items, and by id why it failed on others."""
        if not items:
            return [], {}
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._read_now, items)

    def _read_now(self, items: Sequence[Item]) -> tuple[list[ItemVector], dict[str, str]]:
        assert self._encoder is not None
        try:
            return read_items(items, self._encoder), {}
        except Exception as error:  # ONNX Runtime's errors share no base class
            if len(items) == 1:
                return [], {items[0].item_id: repr(error)}
        made: list[ItemVector] = []
        failed: dict[str, str] = {}
        for item in items:  # one of them it is
            one, why = self._read_now([item])
            made += one
            failed |= why
        return made, failed

    def _remember(self, item_id: str, content: bytes) -> None:
        self._recent[item_id] = content
        self._recent.move_to_end(item_id)
        if len(self._recent) > MOST_RECENT:
            self._recent.popitem(last=False)

    def _reject(
        self, outbox: Outbox, record: Any, rejected: RejectedMessage, letters: list[DeadLetter]
    ) -> None:
        letter = schemas.dead_letter(
            rejected,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
            key=record.key,
            value=record.value,
            headers=tuple(record.headers),
        )
        outbox.add(
            self._dead_letters,
            record.partition % self._letter_partitions,
            letter.key,
            schemas.encode(letter),
            schemas.dead_letter_headers(letter),
        )
        letters.append(letter)
