"""Whether an event loop runs, asked from another thread.

The loop is asked to call back instead of running a task that reports: a loop that is not running
yet, or whose application has failed to start, is seen in the same way as one that is blocked.
"""

from __future__ import annotations

import asyncio


class Pulse:
    """Counts the answers of one event loop."""

    def __init__(self) -> None:
        self.answered = 0
        self._asked = False

    def ask(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Ask again, unless an answer is still due. None: there is no loop yet."""
        if loop is None or self._asked:
            return
        self._asked = True
        try:
            loop.call_soon_threadsafe(self._answer)
        except RuntimeError:  # closed: it does not answer, and the next may be another one
            self._asked = False

    def _answer(self) -> None:
        self.answered += 1
        self._asked = False
