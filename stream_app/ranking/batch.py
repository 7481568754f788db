"""What ranking knows of the users of a batch, as arrays with one row a user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.users.state import EVENT_BYTES, UserState, events_of

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

NONE = -1
"""The catalogue position of no item: padding, or an item the catalogue does not hold."""


@dataclass(frozen=True, slots=True)
class UserBatch:
    """`R` users who need a list."""

    vectors: Floats
    """User vectors `[R, d]`; a row of zeros for a user without one."""
    history: Indices
    """Catalogue positions of each ring `[R, L]`, newest first, padded with `NONE`."""
    actions: NDArray[np.uint8]
    """Action codes beside `history`."""

    def __len__(self) -> int:
        return len(self.vectors)

    def recent(self, count: int) -> Indices:
        """The last `count` items of each user `[R, <= count]`, newest first."""
        return self.history[:, :count]

    def rows(self, rows: slice | NDArray[np.intp]) -> UserBatch:
        """Some of the users."""
        return UserBatch(self.vectors[rows], self.history[rows], self.actions[rows])


def user_batch(states: Sequence[UserState], catalog: Catalog) -> UserBatch:
    """Lay out the rows of users: one look-up of all their items together."""
    lengths = np.array([len(state.history) for state in states]) // EVENT_BYTES
    longest = int(lengths.max(initial=0))
    events = events_of(b"".join([state.history for state in states]))
    # Rings are oldest first: reversing all of them together makes each newest first, last user
    # first.
    filled = np.arange(longest) < lengths[::-1, None]
    history = np.full((len(states), longest), NONE, np.int32)
    history[filled] = catalog.lookup(events["item"][::-1])
    actions = np.zeros((len(states), longest), np.uint8)
    actions[filled] = events["action"][::-1]
    return UserBatch(_vectors(states, catalog.dim), history[::-1], actions[::-1])


def _vectors(states: Sequence[UserState], dim: int) -> Floats:
    size = 2 * dim
    none = bytes(size)
    blob = b"".join([state.vector if len(state.vector) == size else none for state in states])
    return np.frombuffer(blob, np.float16).reshape(len(states), dim).astype(np.float32)
