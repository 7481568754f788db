"""What is remembered about the erasure of a user, and what it makes of the user's events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schemas import FIRST_APPENDED
from stream_app.users.state import UserState


class Erasure(NamedTuple):
    """The newest request to erase a user."""

    at_ms: int
    """When Kafka appended it, Unix ms. What was appended until then is erased: of the same
    millisecond nobody can tell the order, and too much gone is better than too little."""
    offset: int
    """Of the request on its partition."""

    def and_then(self, other: Erasure | None) -> Erasure:
        """Both, as one. Append times go back when a broker's clock does."""
        if other is None:
            return self
        return Erasure(max(self.at_ms, other.at_ms), max(self.offset, other.offset))

    def covers(self, appended_ms: int) -> bool:
        """Whether a record that was appended at this time (Unix ms) is erased."""
        return appended_ms <= self.at_ms


def begun_after(state: UserState, source: str, erasure: Erasure) -> bool:
    """Whether a row was begun after an erasure whose request is on `source` (topic/partition).

    A row that is begun after an erasure has the request among its applied offsets, so that a
    request that is read again after a failure does not remove what came after it.
    """
    return state.offsets.get(source, -1) >= erasure.offset


def fresh_state(source: str, erasure: Erasure) -> UserState:
    """The row of a user who was erased: that of a new user, but for the mark."""
    return UserState(offsets={source: erasure.offset})


def first_appended_ms(timestamp_ms: int, headers: Iterable[tuple[str, bytes | None]]) -> int:
    """When Kafka appended a record, or the one that it is sent again for (Unix ms)."""
    times = [_time(value) for name, value in headers if name == FIRST_APPENDED]
    return min([timestamp_ms, *(time for time in times if time is not None)])


def _time(value: bytes | None) -> int | None:
    return int(value) if value is not None and value.isdigit() and len(value) < 20 else None
