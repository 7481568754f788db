"""Questions to the engine's thread, which has better things to do.

They are asked one at a time and a step at a time, between which batches are computed; after each
step the thread is left alone for a few times as long. Who comes when too many wait is turned away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple, TypeVar

from stream_app.reasons import Steps

Result = TypeVar("Result")

MOST_WAITING = 16
PATIENCE_S = 10.0
"""After this a question is given up: the engine computes something else, or is stuck."""
REST = 3.0
"""For so many times what a step took the engine is left alone: a quarter of it is the most."""
LONGEST_REST_S = 0.5


class BusyError(Exception):
    """Too many ask, or the engine does not come to it."""


class _Step(NamedTuple):
    """What a step came to: the result, or nothing yet; and how long it took."""

    done: bool
    result: object
    seconds: float


class EngineQuestions:
    """Use from one event loop."""

    def __init__(self, engine: Executor) -> None:
        """`engine` has one thread."""
        self._engine = engine
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._free_at = 0.0

    async def ask(self, question: Callable[[], Result], patience_s: float | None = None) -> Result:
        """The answer to a short question. Raises `BusyError`, and what `question` raises.

        `patience_s` is how long to wait, if not as usual.
        """

        def once() -> Steps[Result]:
            yield from ()
            return question()

        return await self.ask_in_steps(once, patience_s)

    async def ask_in_steps(
        self, question: Callable[[], Steps[Result]], patience_s: float | None = None
    ) -> Result:
        """The answer to a question of several steps, each short. Raises as `ask`."""
        if self._waiting >= MOST_WAITING:
            raise BusyError(f"{MOST_WAITING} questions wait for the engine already")
        patience_s = PATIENCE_S if patience_s is None else patience_s
        self._waiting += 1
        try:
            async with asyncio.timeout(patience_s), self._turn:
                return await self._answer(question())
        except TimeoutError:
            raise BusyError(f"the engine has not answered within {patience_s:g} s") from None
        finally:
            self._waiting -= 1

    async def _answer(self, steps: Steps[Result]) -> Result:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(0.0, self._free_at - loop.time()))
            step = await loop.run_in_executor(self._engine, _go_on, steps)
            self._free_at = loop.time() + min(REST * step.seconds, LONGEST_REST_S)
            if step.done:
                return step.result  # type: ignore[return-value]


def _go_on(steps: Steps[Result]) -> _Step:
    began = time.perf_counter()
    try:
        next(steps)
    except StopIteration as end:
        return _Step(True, end.value, time.perf_counter() - began)
    return _Step(False, None, time.perf_counter() - began)
