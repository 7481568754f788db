"""The event table: a data set's users, items, times and actions as columns in time order.

An event costs 17 bytes (4 user, 4 item, 8 time, 1 action), whatever its ids look like; an id costs
its string once (about 60 bytes) and, while a table is built, its place in a dict (about 100).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.messages import MAX_ID_BYTES, Click, Purchase
from stream_app.errors import UserError
from stream_app.users.actions import ACTIONS, PURCHASE

MAX_TIMESTAMP_MS = 253_402_300_799_999  # until the year 9999, as on the wire
PROGRESS = 1_000_000  # events between two signs of life: a few seconds of reading
SHOWN = 5  # rejected records kept for a message


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

    timed: bool = True
    """Whether the times are real; False where a reader made them up to keep the order."""

    @classmethod
    def from_rows(cls, rows: Iterable[Row], source: str) -> EventTable:
        """Number the ids in order of appearance in time, and sort by time (stable).

        Raises `DatasetError` when there is no row at all, `ValueError` for a bad one.
        """
        builder = TableBuilder(source)
        for row in rows:
            builder.add(*row)
        return builder.table()

    def __len__(self) -> int:
        return len(self.users)

    def part(self, start: int, stop: int) -> EventTable:
        """Return the events `start..stop` in time order, with the same id lists."""
        return self._cut(slice(start, stop))

    def where(self, kept: NDArray[np.bool_]) -> EventTable:
        """Return the events where `kept` `[n]` is true."""
        return self._cut(kept)

    def _cut(self, kept: slice | NDArray[np.bool_]) -> EventTable:
        return replace(
            self,
            users=self.users[kept],
            items=self.items[kept],
            timestamps_ms=self.timestamps_ms[kept],
            actions=self.actions[kept],
        )

    def split(self, fraction: float) -> tuple[EventTable, EventTable]:
        """Split by time: the first `fraction` (0..1) of the events, and the rest."""
        cut = int(len(self) * fraction)
        return self.part(0, cut), self.part(cut, len(self))

    def before(self, timestamp_ms: int) -> EventTable:
        """Return the events with an event time before `timestamp_ms`."""
        return self.part(0, int(np.searchsorted(self.timestamps_ms, timestamp_ms)))

    def since(self, timestamp_ms: int) -> EventTable:
        """Return the events with an event time of `timestamp_ms` or later."""
        return self.part(int(np.searchsorted(self.timestamps_ms, timestamp_ms)), len(self))

    def of_users_in(self, other: EventTable) -> EventTable:
        """Return the events of the users who have one in `other`, a part of the same table."""
        there = np.zeros(len(self.user_ids), np.bool_)
        there[other.users] = True
        return self.where(there[self.users])

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


class TableBuilder:
    """Takes events one by one, in any order, and makes an `EventTable` of them.

    Only columns and ids are kept, so that 10 million events fit into memory many times over.
    Erased users are never taken in: neither their events nor their ids are in the table.
    """

    def __init__(
        self,
        source: str,
        *,
        max_bad: int = 0,
        erased: Set[str] = frozenset(),
        timed: bool = True,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`max_bad` records may be rejected; `on_progress` is told the events taken so far."""
        self.source = source
        self.timed = timed
        self.rejected = 0
        self.reasons: list[str] = []
        """Why the first few rejected records were rejected, and where they are."""
        self.left_out = 0
        """Events of erased users."""
        self._max_bad = max_bad
        self._erased = erased
        self._on_progress = on_progress
        self._user_numbers: dict[str, int] = {}
        self._item_numbers: dict[str, int] = {}
        self._users = array("i")
        self._items = array("i")
        self._times = array("q")
        self._actions = array("B")

    def __len__(self) -> int:
        return len(self._times)

    def add(self, user_id: str, item_id: str, timestamp_ms: int, action: int) -> None:
        """Take one event. Raises `ValueError` with the field and its value if it is none."""
        if not 0 <= timestamp_ms <= MAX_TIMESTAMP_MS:
            raise ValueError(f"the time is {timestamp_ms} ms")
        user = self._user_numbers.get(user_id)
        if user is None:
            if user_id in self._erased:
                self.left_out += 1
                return
            check_id("user", user_id)
        item = self._item_numbers.get(item_id)
        if item is None:
            check_id("item", item_id)
            item = self._item_numbers[item_id] = len(self._item_numbers)
        if user is None:
            user = self._user_numbers[user_id] = len(self._user_numbers)
        self._users.append(user)
        self._items.append(item)
        self._times.append(timestamp_ms)
        self._actions.append(action)
        if not len(self._times) % PROGRESS:
            self._on_progress(len(self._times))

    def reject(self, place: str, why: object) -> None:
        """Pass over a bad record; raises `DatasetError` when there are more than allowed."""
        self.rejected += 1
        if len(self.reasons) < SHOWN:
            self.reasons.append(f"{place}: {why}")
        if self.rejected > self._max_bad:
            allowed = f" (and {self._max_bad} before it)" if self._max_bad else ""
            raise DatasetError(
                f"{place}: {why}{allowed}. Correct or delete it, or allow more with --max-bad"
            )

    def table(self) -> EventTable:
        """The events in time order, ids numbered in order of appearance in time.

        The builder is done with afterwards. Raises `DatasetError` when it holds no event.
        """
        if not self._times:
            raise DatasetError(f"{self.source}: holds no events; is it the right file?")
        columns = [self._times, self._users, self._items, self._actions]
        user_ids, item_ids = list(self._user_numbers), list(self._item_numbers)
        del self._times, self._users, self._items, self._actions  # not twice in memory, sorted
        del self._user_numbers, self._item_numbers
        times, users, items, actions = _sorted(columns)
        users, user_ids = _renumbered(users, user_ids)
        items, item_ids = _renumbered(items, item_ids)
        return EventTable(self.source, user_ids, item_ids, users, items, times, actions, self.timed)


def check_id(name: str, value: str) -> None:
    """Raise `ValueError` for what cannot be an id on the wire."""
    if not value:
        raise ValueError(f"{name} id is empty")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} id is not readable as UTF-8: {value!r}") from error
    if size > MAX_ID_BYTES:
        raise ValueError(f"{name} id is longer than {MAX_ID_BYTES} bytes")


def _sorted(columns: list[array[int]]) -> list[NDArray[Any]]:
    """The columns as arrays, in the order of the first one (stable)."""
    arrays: list[NDArray[Any]] = [np.frombuffer(column, column.typecode) for column in columns]
    columns.clear()
    times = arrays[0]
    if (times[1:] < times[:-1]).any():
        order = np.argsort(times, kind="stable")
        del times
        for at, column in enumerate(arrays):
            arrays[at] = column[order]
    return arrays


def _renumbered(numbers: NDArray[np.int32], ids: list[str]) -> tuple[NDArray[np.int32], list[str]]:
    """Number `ids` anew in order of their first place in `numbers`."""
    first = np.empty(len(ids), np.int32)
    places = np.arange(len(numbers) - 1, -1, -1, dtype=np.int32)
    first[numbers[::-1]] = places  # of several places the last one written stays: the first
    order = np.argsort(first, kind="stable")
    if (order[1:] > order[:-1]).all():
        return numbers, ids
    renumbered = np.empty(len(ids), np.int32)
    renumbered[order] = np.arange(len(ids), dtype=np.int32)
    return renumbered[numbers], [ids[at] for at in order.tolist()]
