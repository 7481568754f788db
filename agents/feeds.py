"""What every worker reads whole: records of the broadcast topics, handed to who takes them up.

All that follows from them happens on the engine's thread, so it takes effect between two batches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Generic, TypeVar

from schemas import RejectedMessage
from stream_app.degradations import Degradation, degraded
from stream_app.observability.logging import at
from stream_app.rules import RuleBook

log = logging.getLogger(__name__)

Message = TypeVar("Message")
Handler = Callable[[Sequence[Any]], Awaitable[None]]
Decode = Callable[..., tuple[str, Message | None]]
Put = Callable[[str, Message | None], object]


class Feeds:
    """Records of several topics, each handed to its handler in the order of its partition."""

    def __init__(
        self, handlers: Mapping[str, Handler], settle: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Handlers by the full name of their topic; one can take several. `settle` is awaited when
        some records have been taken up: what follows from them takes its time.
        """
        self._handlers = handlers
        self._settle = settle

    @property
    def topics(self) -> tuple[str, ...]:
        """In the order in which they are to be read at the start."""
        return tuple(self._handlers)

    async def take(self, records: Sequence[Any]) -> None:
        """Hand records on; those for the same handler together."""
        sorted_out: dict[Handler, list[Any]] = {}
        for record in records:
            sorted_out.setdefault(self._handlers[record.topic], []).append(record)
        for handler, some in sorted_out.items():
            await handler(some)
        if self._settle is not None:
            await self._settle()


class ControlFeed(Generic[Message]):
    """Records of a compacted topic that operators write: by name, null withdraws."""

    def __init__(self, decode: Decode[Message], put: Put[Message], engine: Executor) -> None:
        """`decode(value, key=key)` gives name and message or raises `RejectedMessage`; what is no
        valid message changes nothing.
        """
        self._decode = decode
        self._put = put
        self._engine = engine
        self.rejected = 0
        """Records that were no valid message, since the start."""

    async def take(self, records: Sequence[Any]) -> None:
        """Take up records in order."""
        said: list[tuple[str, Message | None]] = []
        for record in records:
            try:
                said.append(self._decode(record.value, key=record.key))
            except RejectedMessage as error:
                self.rejected += 1
                degraded(Degradation.CONTROL_REFUSED)
                log.error("%s/%d@%d is refused, what was said before holds: %s",
                          record.topic, record.partition, record.offset, error,
                          extra=at(record.topic, record.partition, record.offset))  # fmt: skip
        await asyncio.get_running_loop().run_in_executor(self._engine, self._all, said)

    def _all(self, said: Sequence[tuple[str, Message | None]]) -> None:
        for name, message in said:
            self._put(name, message)


async def settle_rules(books: Sequence[RuleBook], engine: Executor) -> None:
    """Have rules look at all items that they have not looked at; batches go between the slices."""
    loop = asyncio.get_running_loop()
    for rules in books:
        while await loop.run_in_executor(engine, rules.work):
            pass
