"""What is known of the users at the moments when they are asked about.

All events lie side by side, user after user, oldest first; a history is a user and how many of
that user's events count. Nothing is copied per question, so a million questions cost no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream_app.datasets import EventTable

if TYPE_CHECKING:
    from typing import Self

NOTHING = -1  # where a history, a list or a window has no event or item


@dataclass(frozen=True)
class UserLog:
    """The events of a table user after user; those of one user in the order of the table."""

    table: EventTable
    order: NDArray[np.int64]
    """`[n]` positions in the table."""
    starts: NDArray[np.int64]
    """`[users + 1]` where each user's events begin in `order`, and where the last one's end."""

    @classmethod
    def of(cls, table: EventTable) -> Self:
        """Group `table`; the sort is stable, so equal timestamps keep the order of the file."""
        order = np.argsort(table.users, kind="stable")
        counts = np.bincount(table.users, minlength=len(table.user_ids))
        return cls(table, order, np.concatenate([[0], np.cumsum(counts)]))

    @property
    def counts(self) -> NDArray[np.int64]:
        """`[users]` events of each user."""
        return np.diff(self.starts)

    def numbers(self) -> NDArray[np.int64]:
        """`[n]` for every event of the table how many of its user's events come before it."""
        numbers = np.empty(len(self.order), np.int64)
        numbers[self.order] = np.arange(len(self.order)) - np.repeat(self.starts[:-1], self.counts)
        return numbers


@dataclass(frozen=True)
class Histories:
    """`B` histories: of each user in `users` the first `lengths` events."""

    log: UserLog
    users: NDArray[np.int32]
    """`[B]` positions in `user_ids`; a user may appear several times, with several lengths."""
    lengths: NDArray[np.int64]
    """`[B]` events known, 0 or more."""

    def __len__(self) -> int:
        return len(self.users)

    def part(self, chosen: slice | NDArray[np.int64]) -> Histories:
        """Some of the histories, in the order of `chosen`."""
        return Histories(self.log, self.users[chosen], self.lengths[chosen])

    def last_items(self) -> NDArray[np.int64]:
        """`[B]` the newest item of each, `NOTHING` for an empty history."""
        newest = self.log.starts[self.users] + self.lengths - 1
        events = self.log.order[np.where(self.lengths > 0, newest, 0)]
        return np.where(self.lengths > 0, self.log.table.items[events], NOTHING)

    def window(self, size: int | NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in the table of the newest `size` events `[B, T]`, oldest first.

        `size` is one for all, or one for each `[B]`. Padded on the right with `NOTHING`; `T` is
        the longest of the windows.
        """
        kept = np.minimum(self.lengths, size)
        place = np.arange(int(kept.max(initial=0)))
        first = self.log.starts[self.users] + self.lengths - kept
        inside = place < kept[:, None]
        at = np.where(inside, first[:, None] + place, 0)
        events: NDArray[np.int64] = np.where(inside, self.log.order[at], NOTHING)
        return events

    def flat(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All events of all histories `[E]`: which history, and the position in the table."""
        owners = np.repeat(np.arange(len(self)), self.lengths)
        return owners, self.log.order[ranges(self.log.starts[self.users], self.lengths)]

    def blocks(self, size: int) -> Iterator[tuple[slice, Histories]]:
        """The histories `size` at a time, each with its place."""
        for start in range(0, len(self), size):
            cut = slice(start, min(start + size, len(self)))
            yield cut, self.part(cut)


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """`starts[i], starts[i] + 1, ...`, `counts[i]` of them, one range after the other."""
    begins = np.cumsum(counts) - counts
    return np.repeat(starts - begins, counts) + np.arange(int(counts.sum()))
