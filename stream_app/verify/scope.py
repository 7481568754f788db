"""What a check looks at, and how strictly it judges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from stream_app.durations import parse_duration
from stream_app.errors import UserError

EXAMPLES = 20
"""Findings of one kind that are described; all are counted."""


class ScopeError(UserError, ValueError):
    """The range that was asked for does not exist or cannot be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The range of a check. The default is everything that the topics hold."""

    settled: bool = False
    """Nothing is being produced and the workers are done: every event counts, not only those below
    the committed offsets, and the commits must be at the ends of the topics."""
    strict: bool = False
    """Also takes a late row of a former owner that is the last of its key for a finding."""
    partitions: tuple[int, ...] | None = None
    """Partition numbers; None is all of them."""
    since_ms: int | None = None
    """Only events appended at this time (Unix ms) or later are checked."""
    max_events: int | None = None
    """Only the newest events, about this many over all partitions."""
    examples: int = EXAMPLES
    show_users: bool = False
    """Name users in examples as they are; otherwise by a hash."""

    def __post_init__(self) -> None:
        if self.max_events is not None and self.max_events < 1:
            raise ScopeError(f"max_events is {self.max_events}; it must be at least 1")

    def numbers(self, count: int) -> tuple[int, ...]:
        """The partition numbers to check, of `count`. Raises `ScopeError`."""
        if self.partitions is None:
            return tuple(range(count))
        wrong = [number for number in self.partitions if not 0 <= number < count]
        if wrong:
            raise ScopeError(f"partitions {wrong} do not exist; there are 0 to {count - 1}")
        return tuple(sorted(set(self.partitions)))


def parse_partitions(text: str) -> tuple[int, ...]:
    """`0,3` as numbers. Raises `ScopeError`."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ScopeError(f"partitions is {text!r}; write numbers such as 0,3")
    return tuple(int(part) for part in parts)


def parse_since(text: str, now_ms: int) -> int:
    """A duration before now (`90s`, `15m`, `2h`, `1d`), Unix ms, or ISO 8601, as Unix ms.

    Raises `ScopeError`.
    """
    if (duration_ms := parse_duration(text)) is not None:
        return now_ms - duration_ms
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ScopeError(
            f"since is {text!r}; write a duration such as 15m or 2h, a time such as "
            "2026-01-31T12:00:00+00:00, or Unix milliseconds"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
