"""Logging of a worker: one line per event on stderr, and no storms while a broker is away."""

from __future__ import annotations

import logging
import time

REPEAT_S = 10.0
"""aiokafka logs about ten lines a second while it cannot connect: one in this time is enough."""

_NOISY = ("aiokafka", "faust", "mode")


class _OncePerInterval(logging.Filter):
    """Lets a message through once per interval; messages differ by their template."""

    def __init__(self, interval_s: float) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_NOISY):
            return True
        key, now = (record.name, str(record.msg)[:80]), time.monotonic()
        if now - self._last.get(key, -self._interval_s) < self._interval_s:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[key] = now
        return True


def set_up(level: str) -> None:
    """Log to stderr from `level` up; libraries from warning up, each message at intervals."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handler.addFilter(_OncePerInterval(REPEAT_S))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Faust names the loggers of its services after the module of their class, also of ours.
    for name in (*_NOISY, "stream_app.streaming.consumer"):
        # Faust formats debug messages on its hot path whenever the level allows it.
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
