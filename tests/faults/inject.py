"""The faults inside a worker: crash points by name, slow batches, a wrong clock.

Nothing of the worker is replaced: its methods are wrapped, and do what they always do until an
order is in force. Between two orders the cost is one attribute read per step.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import Any

from tests.faults.orders import CRASHED, ORDERS_VARIABLE, Orders, read_orders

LOOK_EVERY_S = 0.02

CRASH_POINTS = {
    "computed": "after apply, before anything is published",
    "rows published": "the broker has the rows, and neither lists nor dead letters",
    "lists published": "the broker has lists and dead letters, and no row",
    "half published": "the broker has the records of some partitions only",
    "published": "the broker has everything, the worker knows nothing of it",
    "before acknowledge": "the worker knows it, the events are not acknowledged",
    "acknowledged": "acknowledged, not committed",
    "commit sent": "the commit is on its way, its answer is not there",
    "commit answered": "the broker has committed, the worker has not handled the answer",
}
"""Where a worker can be told to end, between each two of apply, publish, acknowledge, commit."""

TAKEN_OVER = "rows taken over"
"""One more point, of a rebalance: the rows are read, and no event is."""
TAKING_OVER = "rows being taken over"
"""Where a worker can be told to stop itself: assigned, before its first heartbeat as a member."""

_real_sleep = time.sleep
_orders = Orders()


def install() -> None:
    """Wrap the steps of the worker that this process will run."""
    _shift_clock()
    threading.Thread(target=_look, args=(os.environ[ORDERS_VARIABLE],), daemon=True).start()
    _wrap_commit()  # first: the worker wraps the same method when its modules are imported
    _wrap_engine()
    _wrap_outbox()
    _wrap_batches()
    _wrap_rows()
    _wrap_assignment()


def _look(path: str) -> None:
    global _orders
    while True:
        _orders = read_orders(path)
        _real_sleep(LOOK_EVERY_S)


def _shift_clock() -> None:
    """Let `time.time` and `time.time_ns` jump; monotonic clocks do not, as on a real machine."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + _orders.clock_s
    time.time_ns = lambda: real_ns() + int(_orders.clock_s * 1e9)


def _crash_at(point: str) -> None:
    if _orders.crash == point:
        print(f"crashed as ordered: {point}", flush=True)
        os._exit(CRASHED)


def _wrap_engine() -> None:
    from agents.engine import Engine

    work = Engine.work

    def slowed(self: Engine, *arguments: Any) -> Any:
        result = work(self, *arguments)
        if _orders.slow_s[1]:
            _real_sleep(random.uniform(*_orders.slow_s))
        return result

    Engine.work = slowed  # type: ignore[method-assign, assignment]


def _wrap_outbox() -> None:
    from stream_app.streaming.publisher import Outbox

    deliver = Outbox.deliver

    async def watched(self: Outbox) -> Any:
        # Rows that are written again, or counts of trends: no batch of events.
        if all(_is_changelog(one) or one[0].endswith("item-trends") for one in self._open):
            return await deliver(self)
        _crash_at("computed")
        point = _orders.crash
        kept = _partly(point, set(self._open))
        if kept:
            self._open = {target: self._open[target] for target in kept}
        delivered = await deliver(self)
        if kept:
            _crash_at(point)
        _crash_at("published")
        return delivered

    Outbox.deliver = watched  # type: ignore[method-assign]


def _partly(point: str, targets: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Which of the topic partitions get their records; none of them: the point is not here.

    A batch that would be complete or empty is let pass: the next one will be cut.
    """
    rows = set(filter(_is_changelog, targets))
    kept = {
        "rows published": rows,
        "lists published": targets - rows,
        "half published": set(sorted(targets)[::2]),
    }.get(point, set())
    return kept if kept < targets else set()


def _is_changelog(target: tuple[str, int]) -> bool:
    return target[0].endswith("-changelog")


def _wrap_batches() -> None:
    from stream_app.streaming.batches import Batches

    acknowledge = Batches.acknowledge

    async def watched(self: Batches, *arguments: Any) -> None:
        _crash_at("before acknowledge")
        await acknowledge(self, *arguments)
        _crash_at("acknowledged")

    Batches.acknowledge = watched  # type: ignore[method-assign, assignment]


def _wrap_rows() -> None:
    from stream_app.streaming.ownership import UserRows

    take = UserRows.take

    async def watched(self: UserRows, *arguments: Any) -> bool:
        taken = await take(self, *arguments)
        _crash_at(TAKEN_OVER)
        return taken

    UserRows.take = watched  # type: ignore[method-assign, assignment]


def _wrap_assignment() -> None:
    from stream_app.streaming.recovery import RowsManager

    rebalance = RowsManager.on_rebalance

    async def watched(self: RowsManager, *arguments: Any) -> None:
        if _orders.stop == TAKING_OVER:
            os.kill(os.getpid(), signal.SIGSTOP)
        await rebalance(self, *arguments)

    RowsManager.on_rebalance = watched  # type: ignore[method-assign, assignment]


def _wrap_commit() -> None:
    from aiokafka.conn import AIOKafkaConnection
    from aiokafka.consumer.group_coordinator import GroupCoordinator
    from aiokafka.protocol.commit import OffsetCommitRequest

    send, ask = AIOKafkaConnection.send, GroupCoordinator._send_req

    def sending(self: Any, request: Any, *arguments: Any, **named: Any) -> Any:
        answer = send(self, request, *arguments, **named)  # has written it to the socket
        if isinstance(request, OffsetCommitRequest):
            _crash_at("commit sent")
        return answer

    async def asking(self: Any, request: Any) -> Any:
        answer = await ask(self, request)
        if isinstance(request, OffsetCommitRequest):
            _crash_at("commit answered")
        return answer

    AIOKafkaConnection.send = sending
    GroupCoordinator._send_req = asking
