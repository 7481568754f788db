"""The live flow as server-sent events (WHATWG HTML, 9.2): ticks, and lists as they are made.

One task serves all streams while there are any; without them nothing runs. A stream that is read
too slowly loses events, never holds anybody up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from schemas import Recommendation, RejectedMessage, decode_output
from stream_app.inspector.engine import BusyError, EngineQuestions
from stream_app.inspector.feed import Batch, Feed
from stream_app.inspector.figures import Figures, Window
from stream_app.inspector.worker import Worker

log = logging.getLogger(__name__)

Shown = dict[str, Any]

PERIOD_S = 0.2
"""Between two looks at what was made: of all users, the newest list is shown each time."""
LOOKS_A_TICK = 5
MOST_STREAMS = 16
MOST_UNREAD = 64
"""Events of a stream that wait to be sent."""
MOST_LISTS = 20
"""Of one user in one look."""


class Stream:
    """One listener."""

    def __init__(self, user: bytes | None) -> None:
        """`user` is who all lists are wanted of; None: the newest list of anybody."""
        self.user = user
        self._unread: asyncio.Queue[bytes] = asyncio.Queue(MOST_UNREAD)

    def put(self, event: str, data: Shown) -> None:
        """Hand an event over; the oldest is lost when there is no room."""
        if self._unread.full():
            self._unread.get_nowait()
        text = f"event: {event}\ndata: {msgspec.json.encode(data).decode()}\n\n"
        self._unread.put_nowait(text.encode())

    async def next(self, timeout_s: float) -> bytes | None:
        """The next event as bytes to send; None when there is none for so long."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._unread.get()
        except TimeoutError:
            return None


class Live:
    """All streams; use from one event loop."""

    def __init__(
        self, worker: Worker, feed: Feed, figures: Figures, questions: EngineQuestions
    ) -> None:
        self._worker = worker
        self._feed = feed
        self._figures = figures
        self._questions = questions
        self._streams: set[Stream] = set()
        self._running: asyncio.Task[None] | None = None
        self._naming: asyncio.Task[None] | None = None
        self._wanted: deque[tuple[Stream, Shown]] = deque(maxlen=MOST_UNREAD)

    def open(self, user: bytes | None) -> Stream:
        """A new stream; `close` it. Raises `BusyError` when there are too many."""
        if len(self._streams) >= MOST_STREAMS:
            raise BusyError(f"{MOST_STREAMS} pages look at this worker already; close one")
        stream = Stream(user)
        self._streams.add(stream)
        self._feed.listening = True
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return stream

    def close(self, stream: Stream) -> None:
        """The listener has gone; with the last one the work stops."""
        self._streams.discard(stream)
        if not self._streams and self._running is not None:
            self._feed.listening = False
            self._feed.drain()  # else one user's list would wait for the next page
            self._running.cancel()
            self._running = None

    async def _run(self) -> None:
        window, loop = Window(), asyncio.get_running_loop()
        looks, due = 0, loop.time()
        while True:
            try:
                if looks % LOOKS_A_TICK == 0:
                    self._tick(window)
                self._look(self._feed.drain())
            except Exception:  # as in the middle of a rebalance: the next look may succeed
                log.exception("could not look at the worker")
            looks, due = looks + 1, max(due + PERIOD_S, loop.time())
            await asyncio.sleep(due - loop.time())

    def _tick(self, window: Window) -> None:
        totals, seen = self._figures.totals(), self._worker.look()
        fresh = window.freshness(totals)
        tick = {
            "at_ms": self._worker.releases.main.now(),
            "events_total": totals.events,
            "lists_total": totals.lists,
            "dead_letters_total": totals.dead_letters,
            "lag": sum(one.lag for one in seen.partitions.values()),
            "ready": seen.ready,
            "state": seen.state,
            "p50_ms": fresh.p50_ms,
            "p99_ms": fresh.p99_ms,
            "freshness": {
                "window_s": fresh.window_s,
                "edges_ms": fresh.edges_ms,
                "counts": fresh.counts,
                "events": sum(fresh.counts),
            },
        }
        for stream in self._streams:
            stream.put("tick", tick)

    def _look(self, batches: Sequence[Batch]) -> None:
        """Hand lists on, once their items are named; meanwhile only those of users are kept."""
        if not batches:
            return
        idle = self._naming is None or self._naming.done()
        newest = None
        for stream in self._streams:
            if stream.user is not None:
                mine = list(_shown(batches, stream.user.__eq__))
                self._wanted += [(stream, one) for one in mine[-MOST_LISTS:]]
            elif idle:
                newest = newest or next(_shown(reversed(batches), lambda key: True), None)
                self._wanted += [(stream, newest)] if newest else []
        if self._wanted and idle:
            self._naming = asyncio.create_task(self._name_all())

    async def _name_all(self) -> None:
        while self._wanted:
            wanted = list(self._wanted)
            self._wanted.clear()
            await self._name(wanted)

    async def _name(self, wanted: Sequence[tuple[Stream, Shown]]) -> None:
        catalogue = self._worker.releases.main.catalogue
        ids = {item["item_id"] for _, shown in wanted for item in shown["items"]}
        titles: dict[str, str] = {}
        with suppress(BusyError):  # then they are called by their ids
            titles = await self._questions.ask(lambda: {one: catalogue.title(one) for one in ids})
        for stream, shown in wanted:
            items = [
                {**item, "title": titles.get(item["item_id"], item["item_id"])}
                for item in shown["items"]
            ]
            stream.put("list", {**shown, "items": items})


def _shown(batches: Iterable[Batch], is_wanted: Callable[[bytes], bool]) -> Iterator[Shown]:
    """Lists of users, in the order of the batches."""
    for batch in batches:
        for record in batch.lists:
            if record.key is None or record.value is None or not is_wanted(record.key):
                continue
            try:
                made = decode_output(Recommendation, record.value)
            except RejectedMessage:
                log.exception("a list that was published cannot be read")
                continue
            yield _list(made, batch)


def _list(made: Recommendation, batch: Batch) -> Shown:
    experiment = made.experiment
    return {
        "user_id": made.user_id,
        "rec_id": made.rec_id,
        "made_ms": made.generated_at_ms,
        "freshness_ms": _freshness_ms(made, batch),
        "degraded": made.degraded,
        "experiment": None
        if experiment is None
        else {"name": experiment.name, "arm": experiment.arm},
        "items": [
            {"rank": item.rank, "item_id": item.item_id, "sources": item.sources}
            for item in made.items
        ],
    }


def _freshness_ms(made: Recommendation, batch: Batch) -> int | None:
    """From the append of the event to the acknowledgement of its list."""
    trigger = made.trigger
    if trigger is None:
        return None
    place = (trigger.topic, trigger.partition, trigger.offset)
    for record in batch.records:
        if (record.topic, record.partition, record.offset) == place:
            return max(0, batch.at_ms - record.timestamp_ms)
    return None
