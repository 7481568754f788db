"""Says on stderr how far a check is, once a second; on a terminal in one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from types import TracebackType
from typing import TextIO

_EVERY_S = 1.0


class Meter:
    """Counts records by topic; leaving the block ends the line."""

    def __init__(self, source_topics: Collection[str], stream: TextIO | None = None) -> None:
        """Records of `source_topics` are events."""
        self._sources = source_topics
        self._stream = stream or sys.stderr
        self._began = self._told = time.monotonic()
        self._events = self._records = 0
        self._live = self._stream.isatty()

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live and self._told > self._began:
            print(file=self._stream)

    def count(self, topic: str, records: int) -> None:
        """Records of a topic have come."""
        self._records += records
        if topic in self._sources:
            self._events += records
        now = time.monotonic()
        if now - self._told >= _EVERY_S:
            self._told = now
            self._tell(topic, now - self._began)

    def _tell(self, topic: str, seconds: float) -> None:
        line = (
            f"{self._events:,} events, {self._records:,} records, "
            f"{self._records / seconds:,.0f} records/s, reading {topic}"
        )
        end = "" if self._live else "\n"
        print(f"\r{line:<100}" if self._live else line, end=end, file=self._stream, flush=True)
