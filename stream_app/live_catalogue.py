"""The catalogue of a serving release as the stream changes it: what is listed, with which vector.

A release's own vectors stay as they were trained. What joins or changes gets the vector that the
release makes of its text (docs/catalogue.md). The thread that recommends is the one that applies
changes, between two batches.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas import Item, ItemVector
from stream_app.bundle import Bundle
from stream_app.catalog import ItemTable
from stream_app.catalog.table import DELISTED, LISTED
from stream_app.degradations import Degradation, degraded
from stream_app.retrieval import LiveIndex
from stream_app.text.items import NOTHING_SAID, content_of

log = logging.getLogger(__name__)

MOST_EARLY = 10_000
"""Vectors kept of items that are not listed yet: the two topics are not read in step."""

Listing = tuple[str, Item | None]
"""Item id and what is said of it; None delists it."""
Vectors = tuple[str, ItemVector | None]
"""Item id and what a text encoder made of it; None takes it back."""


class CatalogueStatus(NamedTuple):
    """Figures for operators."""

    listed: int
    """Items of which something is said."""
    delisted: int
    """Items that are held and must not be recommended: delisted."""
    unavailable: int
    """Items that must not be recommended now: delisted, or outside their time."""
    lacking: int
    """Listed items that say something of which no vector has come yet."""
    refused: int
    """Items for which there was no room."""
    indexed: int
    """Items that can be found by their vector."""
    buffered: int
    """Of them, those in the exact buffer."""
    rebuilds: int
    recall: float | None


class LiveCatalogue:
    """Items and vectors as they come; use from one thread at a time."""

    def __init__(self, bundle: Bundle, index: LiveIndex, room: int | None = None) -> None:
        """`index` is over the catalogue of `bundle`, which at most `room` items may join."""
        if room is not None:
            bundle.catalog.max_items = len(bundle.catalog) + room
        self._catalog = bundle.catalog
        self._index = index
        self._text = bundle.text
        self._trained = bundle.catalog.has_vector.copy()
        self.table = ItemTable(bundle.catalog)
        # Digests of what an item says and of what its vector was made of; 0 for nothing.
        self._said = np.zeros(len(bundle.catalog), np.uint64)
        self._read = np.zeros(len(bundle.catalog), np.uint64)
        self._early: dict[str, ItemVector] = {}
        self._refused = 0

    def apply(self, listings: Sequence[Listing], vectors: Sequence[Vectors] = ()) -> None:
        """Take up records of the two topics, each in the order of its topic."""
        early: list[Vectors] = []
        for item_id, item in listings:
            if item is None:
                self._delist(item_id)
            elif self._list(item_id, item) and item_id in self._early:
                early.append((item_id, self._early.pop(item_id)))
        self._take_vectors([*early, *vectors])

    def at(self, now_ms: int) -> None:
        """Begin a batch at a time (Unix ms): what is available then, and the newest index."""
        self.table.at(now_ms)
        self._index.refresh()

    def item(self, item_id: str) -> Item | None:
        """What is said of an item, without its description; None for nothing."""
        index = self._catalog.index_of(item_id)
        return None if index < 0 else self.table.item(index)

    def title(self, item_id: str) -> str:
        """What an item is called: by its id where nothing is said."""
        index = self._catalog.index_of(item_id)
        return (self.table.title(index) if index >= 0 else None) or item_id

    def unread(self, said: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Of items and their contents, which ones have to be read by the text encoder."""
        return [
            content != NOTHING_SAID and self._is_unread(item_id, content)
            for item_id, content in said
        ]

    def lacking(self) -> list[str]:
        """Listed items that say something of which no vector has come."""
        return [self._catalog.ids[index] for index in np.flatnonzero(self._lacks()).tolist()]

    def status(self) -> CatalogueStatus:
        """The figures as they are now."""
        available = self._catalog.available
        size = len(self._catalog)
        state = self.table.state
        return CatalogueStatus(
            listed=int(np.count_nonzero(state == LISTED)),
            delisted=int(np.count_nonzero(state == DELISTED)),
            unavailable=0 if available is None else size - int(np.count_nonzero(available[:size])),
            lacking=int(np.count_nonzero(self._lacks())),
            refused=self._refused,
            indexed=len(self._index),
            buffered=self._index.buffered,
            rebuilds=self._index.rebuilds,
            recall=self._index.probe.recall,
        )

    def _list(self, item_id: str, item: Item) -> bool:
        self._catalog.readmit(item_id)
        index = self._catalog.index_or_add(item_id)
        if index < 0:
            if not self._refused:
                log.error("the catalogue is full at %d items: item %r and others do not join; "
                          "raise catalogue_room", len(self._catalog), item_id)  # fmt: skip
            self._refused += 1
            degraded(Degradation.CATALOGUE_FULL)
            return False
        self._fit()
        self.table.say(index, item)
        if self._text is not None:
            spec = self._text.spec
            self._said[index] = _number(content_of(item, spec.encoder, spec.dim))
            if not self._said[index] and self._read[index] and not self._is_trained(index):
                self._forget_vector(index)
        return True

    def _delist(self, item_id: str) -> None:
        index = self._catalog.index_of(item_id)
        self._early.pop(item_id, None)
        if index < 0:
            self._catalog.withdraw(item_id)
            return
        self._fit()
        self.table.delist(index)

    def _take_vectors(self, vectors: Sequence[Vectors]) -> None:
        if self._text is None:
            return
        ready: dict[int, ItemVector] = {}
        for item_id, made in vectors:
            index = self._catalog.index_of(item_id)
            if made is None:
                self._early.pop(item_id, None)
                if index >= 0:
                    self._read[index] = 0
                    ready.pop(index, None)
            elif made.encoder == self._text.spec.sha256 and self._fits(made):
                if index < 0 or self.table.state[index] != LISTED:
                    self._keep_early(item_id, made)
                elif not self._is_trained(index):
                    ready[index] = made
        if ready:
            self._set_vectors(ready)

    def _set_vectors(self, ready: dict[int, ItemVector]) -> None:
        assert self._text is not None
        indices = np.fromiter(ready, np.int32, len(ready))
        raw = b"".join(made.vector or bytes(2 * self._text.spec.dim) for made in ready.values())
        texts = np.frombuffer(raw, "<f2").reshape(len(ready), -1).astype(np.float32)
        known = np.isfinite(texts).all(axis=1)
        texts[~known] = 0
        self._catalog.set_vectors(indices, self._text.project(texts))
        self._index.changed(indices)
        self._read[indices] = [_number(made.content) for made in ready.values()]

    def _forget_vector(self, index: int) -> None:
        indices = np.array([index], np.int32)
        self._catalog.set_vectors(indices, np.zeros((1, self._catalog.dim), np.float32))
        self._index.changed(indices)
        self._read[index] = 0

    def _keep_early(self, item_id: str, made: ItemVector) -> None:
        self._early[item_id] = made
        for oldest in list(islice(self._early, max(0, len(self._early) - MOST_EARLY))):
            del self._early[oldest]

    def _fits(self, made: ItemVector) -> bool:
        assert self._text is not None
        return len(made.vector) in (0, 2 * self._text.spec.dim)

    def _is_trained(self, index: int) -> bool:
        return index < len(self._trained) and bool(self._trained[index])

    def _is_unread(self, item_id: str, content: bytes) -> bool:
        index = self._catalog.index_of(item_id)
        if index < 0:
            return True
        self._fit()
        return not self._is_trained(index) and self._read[index] != _number(content)

    def _lacks(self) -> NDArray[np.bool_]:
        self._fit()
        size = len(self._catalog)
        lacks: NDArray[np.bool_] = (self.table.state == LISTED) & (self._said[:size] != 0)
        lacks &= self._said[:size] != self._read[:size]
        lacks[: len(self._trained)] &= ~self._trained
        return lacks

    def _fit(self) -> None:
        more = len(self._catalog) - len(self._said)
        if more > 0:
            room = np.zeros(more + len(self._said) // 2, np.uint64)
            self._said = np.concatenate([self._said, room])
            self._read = np.concatenate([self._read, room])


def _number(content: bytes) -> int:
    return int.from_bytes(content[:8], "little")
