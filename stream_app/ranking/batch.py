"""What ranking knows of the users of a batch, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.ranking.seen import SeenIndex
from stream_app.ranking.terms import FREE, Terms
from stream_app.users.actions import OTHER, PURCHASE
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

EXCLUDED = np.uint8(255)
"""In place of an action: not done by the user, but not wanted by whoever asks for the list."""

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
    """Action code, or `EXCLUDED`."""
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

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, first: int, last: int) -> UserBatch:
        """The users `first..last` (exclusive)."""
        if first == 0 and last >= len(self):
            return self
        past = self.past.among(first, last)
        return UserBatch(self.vectors[first:last], self.recent[first:last], past, self.terms)

    def only(self, rows: Rows) -> UserBatch:
        """The users at these rows."""
        number = np.full(len(self), NONE, np.int64)
        number[rows] = np.arange(len(rows))
        past = self.past.only(number)
        return UserBatch(self.vectors[rows], self.recent[rows], past, self.terms)


def user_batch(
    states: Sequence[UserState],
    catalog: Catalog,
    seen: SeenIndex,
    excluded: Sequence[Sequence[str]] = (),
    now_ms: int = 0,
) -> UserBatch:
    """Lay out the rows of users, with one look-up for all their items.

    `excluded` has for every row the ids of items that must not be in its list; empty: none. Lists
    are of the time of their user's newest event, or of `now_ms` where that is later.
    """
    events = events_of(b"".join([state.history for state in states]))
    lengths = np.array([len(state.history) for state in states]) // EVENT_BYTES
    items = catalog.lookup(np.ascontiguousarray(events["item"]))
    rows = np.arange(len(states)).repeat(lengths)
    newest_ms = np.array([max(state.last_timestamp_ms, now_ms) for state in states], np.int64)
    ages_ms = newest_ms.repeat(lengths) - events["timestamp_ms"]
    past = Past(rows, items, np.ascontiguousarray(events["action"]), ages_ms)
    older = [len(state.seen) // SEEN_BYTES for state in states]
    if any(older):
        oldest = np.cumsum(lengths) - lengths  # what left the ring is as old as what is in it
        at_least = ages_ms.take(oldest, mode="clip")
        past = _merged(past, _older(states, np.array(older), seen, at_least))
    if any(excluded):
        past = _merged(past, _excluded(excluded, catalog))
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


def _merged(one: Past, other: Past) -> Past:
    rows = np.concatenate([one.rows, other.rows])
    order = np.argsort(rows, kind="stable")
    return Past(
        rows[order],
        np.concatenate([one.items, other.items])[order],
        np.concatenate([one.actions, other.actions])[order],
        np.concatenate([one.ages_ms, other.ages_ms])[order],
    )


def _vectors(states: Sequence[UserState], dim: int) -> Floats:
    size = 2 * dim
    none = bytes(size)
    blob = b"".join([state.vector if len(state.vector) == size else none for state in states])
    return np.frombuffer(blob, np.float16).reshape(len(states), dim).astype(np.float32)
