"""The event table: a data set's users, items, times and actions as columns in time order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.messages import Click, Purchase
from stream_app.errors import UserError
from stream_app.users.actions import ACTIONS, PURCHASE


class DatasetError(UserError):
    """A data file that cannot be used; the message says where, what is wrong, and what to do."""


class Row(NamedTuple):
    """One event as a reader sees it, before ids become numbers."""

    user_id: str
    item_id: str
    timestamp_ms: int
    action: int


@dataclass(frozen=True)
class EventTable:
    """Events in time order; events of the same millisecond keep the order of their file.

    Slices share the id lists, so a number means the same user or item in every part of a split.
    """

    source: str
    """Where the events came from, for manifests and messages."""
    user_ids: list[str]
    item_ids: list[str]
    users: NDArray[np.int32]
    """`[n]` positions in `user_ids`."""
    items: NDArray[np.int32]
    """`[n]` positions in `item_ids`."""
    timestamps_ms: NDArray[np.int64]
    """`[n]` event times, Unix ms, ascending."""
    actions: NDArray[np.uint8]
    """`[n]` codes of `stream_app.users.actions`."""

    @classmethod
    def from_rows(cls, rows: Iterable[Row], source: str) -> EventTable:
        """Number the ids in order of appearance in time, and sort by time (stable).

        Raises `DatasetError` when there is no row at all.
        """
        read = list(rows)
        if not read:
            raise DatasetError(f"{source}: holds no events; is it the right file?")
        times = np.array([row.timestamp_ms for row in read], np.int64)
        order = np.argsort(times, kind="stable")
        user_numbers: dict[str, int] = {}
        item_numbers: dict[str, int] = {}
        users = np.empty(len(read), np.int32)
        items = np.empty(len(read), np.int32)
        for place, at in enumerate(order.tolist()):
            row = read[at]
            users[place] = user_numbers.setdefault(row.user_id, len(user_numbers))
            items[place] = item_numbers.setdefault(row.item_id, len(item_numbers))
        actions = np.array([row.action for row in read], np.uint8)
        return cls(
            source, list(user_numbers), list(item_numbers), users, items, times[order],
            actions[order],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.users)

    def part(self, start: int, stop: int) -> EventTable:
        """Return the events `start..stop` in time order, with the same id lists."""
        cut = slice(start, stop)
        return replace(
            self,
            users=self.users[cut],
            items=self.items[cut],
            timestamps_ms=self.timestamps_ms[cut],
            actions=self.actions[cut],
        )

    def split(self, fraction: float) -> tuple[EventTable, EventTable]:
        """Split by time: the first `fraction` (0..1) of the events, and the rest."""
        cut = int(len(self) * fraction)
        return self.part(0, cut), self.part(cut, len(self))

    def before(self, timestamp_ms: int) -> EventTable:
        """Return the events with an event time before `timestamp_ms`."""
        return self.part(0, int(np.searchsorted(self.timestamps_ms, timestamp_ms)))

    def message(self, at: int) -> Click | Purchase:
        """Return the event at position `at` as the message a producer would write."""
        user_id = self.user_ids[self.users[at]]
        item_id = self.item_ids[self.items[at]]
        timestamp_ms = int(self.timestamps_ms[at])
        action = int(self.actions[at])
        if action == PURCHASE:
            return Purchase(user_id=user_id, item_id=item_id, timestamp_ms=timestamp_ms)
        return Click(
            user_id=user_id, item_id=item_id, timestamp_ms=timestamp_ms, action=ACTIONS[action]
        )

    def messages(self) -> Iterator[Click | Purchase]:
        """Yield every event as a message, in time order."""
        return (self.message(at) for at in range(len(self)))
