"""What ranking knows of the users of a batch, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app import filter_names
from stream_app.catalog import Catalog
from stream_app.filter_names import ALL_OF_IT, Within
from stream_app.ranking.seen import SeenIndex
from stream_app.ranking.terms import FREE, Terms
from stream_app.users.actions import OTHER, PURCHASE
from stream_app.users.shown import SHOWN_BYTES, SHOWN_DTYPE
from stream_app.users.state import (
    EVENT_BYTES,
    SEEN_BOUGHT,
    SEEN_BYTES,
    SEEN_DTYPE,
    UserState,
    events_of,
)

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]
Rows = NDArray[np.int64]

NONE = -1
"""The catalogue position of no item: padding, or an item the catalogue does not hold."""

SERVED = np.uint8(253)
"""In place of an action: not done by the user, but in a list that was made for them."""
SHOWN = np.uint8(254)
"""The same: what the user was shown, by an impression."""
EXCLUDED = np.uint8(255)
"""The same: what whoever asks for the list does not want."""
MARKS = {filter_names.SHOWN: SHOWN, filter_names.SERVED: SERVED}
"""By the name of the filter, which is that of the ring in a row."""
FIRST_MARK = SERVED
"""From here on codes are no actions."""

RECENT = 10
"""Last items of a user that are laid out by themselves, as columns."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the users did, as far as it is remembered, and what they must not get: `n` entries.

    They are in no order within a user.
    """

    rows: Rows
    """The row of the user, ascending."""
    items: Indices
    """Catalogue position, `NONE` for an item the catalogue does not hold."""
    actions: NDArray[np.uint8]
    """Action code, or one of the marks from `FIRST_MARK` on."""
    ages_ms: NDArray[np.int64]
    """How long before the list the last event on the item was, at least."""

    def among(self, first: int, last: int) -> Past:
        """The entries of the users `first..last` (exclusive), renumbered from 0."""
        start, stop = np.searchsorted(self.rows, (first, last))
        return Past(
            self.rows[start:stop] - first,
            self.items[start:stop],
            self.actions[start:stop],
            self.ages_ms[start:stop],
        )

    def only(self, number: Rows) -> Past:
        """The entries of the users who have a `number` `[R]` other than `NONE`, under it."""
        renumbered = number[self.rows]
        kept = renumbered != NONE
        return Past(renumbered[kept], self.items[kept], self.actions[kept], self.ages_ms[kept])


@dataclass(frozen=True, slots=True)
class UserBatch:
    """`R` users who need a list."""

    vectors: Floats
    """User vectors `[R, d]`; a row of zeros for a user without one."""
    recent: Indices
    """Catalogue positions of the last items `[R, RECENT]`, newest first, padded with `NONE`."""
    past: Past
    terms: Terms = FREE
    seeds: NDArray[np.uint64] | None = None
    """What decides instead of chance `[R]`, another number for every list; None: nothing may be
    left to chance."""
    profiles: Floats | None = None
    """What is said of the users, or looked for, among the items `[R, d]`: the length of a vector is
    how much it counts, a row of zeros is nothing. None where nothing is said of any of them."""

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, first: int, last: int) -> UserBatch:
        """The users `first..last` (exclusive)."""
        if first == 0 and last >= len(self):
            return self
        past = self.past.among(first, last)
        seeds = None if self.seeds is None else self.seeds[first:last]
        said = _present(self.profiles, slice(first, last))
        vectors, recent = self.vectors[first:last], self.recent[first:last]
        return UserBatch(vectors, recent, past, self.terms, seeds, said)

    def only(self, rows: Rows) -> UserBatch:
        """The users at these rows."""
        number = np.full(len(self), NONE, np.int64)
        number[rows] = np.arange(len(rows))
        past = self.past.only(number)
        seeds = None if self.seeds is None else self.seeds[rows]
        said = _present(self.profiles, rows)
        return UserBatch(self.vectors[rows], self.recent[rows], past, self.terms, seeds, said)


def _present(profiles: Floats | None, rows: slice | Rows) -> Floats | None:
    """The profiles of some users; None when none of these has one."""
    if profiles is None:
        return None
    chosen = profiles[rows]
    return chosen if chosen.any() else None


def user_batch(
    states: Sequence[UserState],
    catalog: Catalog,
    seen: SeenIndex,
    excluded: Sequence[Sequence[str]] = (),
    now_ms: int = 0,
    within: Within = ALL_OF_IT,
) -> UserBatch:
    """Lay out the rows of users, with one look-up for all their items.

    `excluded` has for every row the ids of items that must not be in its list; empty: none. Lists
    are of the time of their user's newest event, or of `now_ms` where that is later. What was shown
    or served longer ago than `within` is left out.
    """
    events = events_of(b"".join([state.history for state in states]))
    lengths = np.array([len(state.history) for state in states]) // EVENT_BYTES
    items = catalog.lookup(np.ascontiguousarray(events["item"]))
    rows = np.arange(len(states)).repeat(lengths)
    newest_ms = np.array([max(state.last_timestamp_ms, now_ms) for state in states], np.int64)
    ages_ms = newest_ms.repeat(lengths) - events["timestamp_ms"]
    parts = [Past(rows, items, np.ascontiguousarray(events["action"]), ages_ms)]
    older = [len(state.seen) // SEEN_BYTES for state in states]
    if any(older):
        oldest = np.cumsum(lengths) - lengths  # what left the ring is as old as what is in it
        at_least = ages_ms.take(oldest, mode="clip")
        parts.append(_older(states, np.array(older), seen, at_least))
    for name, limit_ms in within.items():
        blobs = [getattr(state, name) for state in states]
        if any(blobs):
            parts.append(_marked(blobs, MARKS[name], seen, newest_ms, limit_ms))
    if any(excluded):
        parts.append(_excluded(excluded, catalog))
    past = _merged(parts, len(states)) if len(parts) > 1 else parts[0]
    return UserBatch(_vectors(states, catalog.dim), _recent(items, lengths), past)


def _recent(items: Indices, lengths: NDArray[np.int64]) -> Indices:
    """The last items of each user, from the items of all, oldest first."""
    places = np.cumsum(lengths)[:, None] - 1 - np.arange(RECENT)
    held = np.arange(RECENT) < lengths[:, None]
    if not len(items):
        return np.full(held.shape, NONE, np.int32)
    return np.where(held, items.take(places, mode="clip"), np.int32(NONE))


def _older(
    states: Sequence[UserState],
    lengths: NDArray[np.int64],
    seen: SeenIndex,
    ages_ms: NDArray[np.int64],
) -> Past:
    entries = np.frombuffer(b"".join([state.seen for state in states]), SEEN_DTYPE)
    bought = (entries & SEEN_BOUGHT).astype(np.bool_)
    actions = np.where(bought, np.uint8(PURCHASE), np.uint8(OTHER))
    rows = np.arange(len(states)).repeat(lengths)
    return Past(rows, seen.lookup(entries), actions, ages_ms.repeat(lengths))


def _excluded(excluded: Sequence[Sequence[str]], catalog: Catalog) -> Past:
    lengths = [len(ids) for ids in excluded]
    items = np.array([catalog.index_of(item) for ids in excluded for item in ids], np.int32)
    rows = np.arange(len(excluded)).repeat(lengths)
    return Past(rows, items, np.full(len(items), EXCLUDED), np.zeros(len(items), np.int64))


def _marked(
    blobs: Sequence[bytes],
    mark: np.uint8,
    seen: SeenIndex,
    newest_ms: NDArray[np.int64],
    limit_ms: int | None,
) -> Past:
    """The entries of one ring of each row, those older than `limit_ms` left out.

    They may be a second older than they say. What was shown after the time of the list has age 0.
    """
    lengths = np.array([len(blob) for blob in blobs]) // SHOWN_BYTES
    entries = np.frombuffer(b"".join(blobs), SHOWN_DTYPE)
    entry_items, seconds = (np.ascontiguousarray(entries[name]) for name in ("item", "second"))
    rows = np.arange(len(blobs)).repeat(lengths)
    ages_ms = np.maximum(newest_ms.repeat(lengths) - (seconds * np.int64(1000) + 999), 0)
    if limit_ms is not None:  # most of a ring is older: not looked up, it costs little
        recent = np.flatnonzero(ages_ms < limit_ms)
        if len(recent) < len(rows):
            entry_items, rows, ages_ms = entry_items[recent], rows[recent], ages_ms[recent]
    return Past(rows, seen.lookup(entry_items), np.full(len(rows), mark), ages_ms)


def _merged(parts: Sequence[Past], users: int) -> Past:
    """All entries of each user together. Placing them takes half the time of sorting them."""
    lengths = [np.bincount(part.rows, minlength=users) for part in parts]
    totals = np.sum(lengths, axis=0)
    starts = np.cumsum(totals) - totals
    size = int(totals.sum())
    items, actions = np.empty(size, np.int32), np.empty(size, np.uint8)
    ages_ms = np.empty(size, np.int64)
    for part, length in zip(parts, lengths, strict=True):
        places = np.arange(len(part.rows)) + (starts - np.cumsum(length) + length).repeat(length)
        items[places], actions[places], ages_ms[places] = part.items, part.actions, part.ages_ms
        starts = starts + length
    return Past(np.arange(users).repeat(totals), items, actions, ages_ms)


def _vectors(states: Sequence[UserState], dim: int) -> Floats:
    size = 2 * dim
    none = bytes(size)
    blob = b"".join([state.vector if len(state.vector) == size else none for state in states])
    return np.frombuffer(blob, np.float16).reshape(len(states), dim).astype(np.float32)
