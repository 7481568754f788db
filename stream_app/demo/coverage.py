"""Which sent events a list covers, how long each took, and which are still without a list."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Sent:
    position: int
    sent_at: float
    offset: int


@dataclass(slots=True)
class Coverage:
    """Matches events and lists by the offsets that a list says it has applied."""

    latencies_ms: list[float] = field(default_factory=list)
    """Of each covered event, from sending it to receiving the first list that covers it."""
    lists: int = 0
    _waiting: dict[tuple[str, str], deque[_Sent]] = field(default_factory=dict)
    _newest: dict[tuple[str, str], int] = field(default_factory=dict)
    open: int = 0
    """Events that no list has covered yet."""

    def sent(self, user_id: str, source: str, offset: int, position: int, sent_at: float) -> None:
        """An event of a user stands at an offset of `source` (`topic/partition`)."""
        self._waiting.setdefault((user_id, source), deque()).append(
            _Sent(position, sent_at, offset)
        )
        self._newest[user_id, source] = offset
        self.open += 1

    def knows(self, user_id: str, source: str, offset: int) -> bool:
        """Whether the event at this offset is known; a list can outrun the sender's receipt."""
        return self._newest.get((user_id, source), -1) >= offset

    def received(self, user_id: str, applied: Mapping[str, int], now: float) -> int | None:
        """A list has arrived; returns the newest position that it is the first to cover."""
        self.lists += 1
        newest = None
        for source, offset in applied.items():
            waiting = self._waiting.get((user_id, source))
            while waiting and waiting[0].offset <= offset:
                event = waiting.popleft()
                self.latencies_ms.append((now - event.sent_at) * 1000)
                self.open -= 1
                newest = event.position if newest is None else max(newest, event.position)
        return newest
