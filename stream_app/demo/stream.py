"""Streams the scenario in time order at a fixed rate, and follows the lists that come back."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from schemas import RECOMMENDATIONS, Click, Purchase, Recommendation, decode_output, topic_name
from stream_app.demo.coverage import Coverage
from stream_app.demo.scenario import Scenario
from stream_app.demo.scores import Scores
from stream_app.settings import Settings
from stream_app.streaming.clients import EventSender, Follower, event_sender, follower

HISTORY_RATE = 4000.0
"""Events per second while the past is loaded; the worker takes more, the demo need not."""
QUIET_S = 30.0
"""Without a new list for this long while events are open, the demo gives up and audits."""


@dataclass(slots=True)
class Progress:
    """What a view shows; changed by the stream, read by the view."""

    phase: str = "starting"
    total: int = 0
    sent: int = 0
    began: float = 0.0
    coverage: Coverage = field(default_factory=Coverage)
    scores: Scores | None = None
    last: dict[str, Recommendation] = field(default_factory=dict)
    """The newest list by user; the users of the demo are a hundred."""
    previous: dict[str, Recommendation] = field(default_factory=dict)
    recent: dict[str, deque[str]] = field(default_factory=dict)
    """The last items by user, newest last."""
    focus: str = ""
    """The user whose list has changed last."""
    gave_up: str = ""
    """Why the stream did not come to its end, if so."""


class Streamer:
    """Sends and follows; one object per demo."""

    def __init__(self, settings: Settings, scenario: Scenario, scores: Scores) -> None:
        self._settings = settings
        self._scenario = scenario
        self.progress = Progress(scores=scores)
        self.sent: dict[str, list[Click | Purchase]] = {"history": [], "stream": []}
        """What was sent in each phase, for the audit."""

    async def run(self, rate: float, tick: Callable[[], None]) -> None:
        """Load the past, then stream `rate` events a second; `tick` is called a few times a second.

        Ends early, with the reason in `progress.gave_up`, when lists stop coming while events are
        open.
        """
        lists = topic_name(self._settings.topic_prefix, RECOMMENDATIONS)
        async with (
            follower(self._settings, [lists], from_start=False) as records,
            event_sender(self._settings) as sender,
        ):
            ticking = asyncio.create_task(_every(0.25, tick))
            try:
                await self._phase("history", self._scenario.history, HISTORY_RATE, sender, records)
                if not self.progress.gave_up:
                    self.progress.coverage = Coverage()
                    await self._phase("stream", self._scenario.events, rate, sender, records)
            finally:
                ticking.cancel()
        tick()

    async def _phase(
        self,
        name: str,
        events: Sequence[Click | Purchase],
        rate: float,
        sender: EventSender,
        records: Follower,
    ) -> None:
        progress = self.progress
        progress.phase, progress.total, progress.sent = name, len(events), 0
        progress.began = time.monotonic()
        sending = asyncio.create_task(self._send(name, events, rate, sender))
        quiet_since = time.monotonic()
        early: deque[tuple[Recommendation, float]] = deque()
        while not sending.done() or progress.coverage.open:
            arrived = await records.poll(0.05)
            now = time.monotonic()
            for record in arrived:
                early.append((decode_output(Recommendation, record.value), now))
            for _ in range(len(early)):
                made, received_at = early.popleft()
                if not self._receive(made, received_at):
                    early.append((made, received_at))
            if arrived or not progress.coverage.open:
                quiet_since = now
            elif now - quiet_since > QUIET_S:
                progress.gave_up = (
                    f"no list has arrived for {QUIET_S:.0f} s while {progress.coverage.open} "
                    "events wait for one: is the worker alive?"
                )
                sending.cancel()
                break
        with suppress(asyncio.CancelledError):
            await sending

    async def _send(
        self, name: str, events: Sequence[Click | Purchase], rate: float, sender: EventSender
    ) -> None:
        """Send all events; done when the last is acknowledged and known to the coverage."""
        coverage = self.progress.coverage  # a late receipt must not count in the next phase
        unacknowledged: set[asyncio.Future[Any]] = set()
        began = time.monotonic()
        for position, event in enumerate(events):
            due = began + position / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            elif position % 64 == 0:
                await asyncio.sleep(0)  # behind schedule: let lists be received all the same
            sent_at = time.monotonic()
            future = await sender.send(event)
            unacknowledged.add(future)
            future.add_done_callback(self._on_sent(coverage, event.user_id, position, sent_at))
            future.add_done_callback(unacknowledged.discard)
            self.sent[name].append(event)
            self.progress.sent += 1
            recent = self.progress.recent.setdefault(event.user_id, deque(maxlen=5))
            recent.append(event.item_id)
        if unacknowledged:
            await asyncio.wait(unacknowledged)

    def _on_sent(
        self, coverage: Coverage, user_id: str, position: int, sent_at: float
    ) -> Callable[[asyncio.Future[Any]], None]:
        def done(future: asyncio.Future[Any]) -> None:
            if future.cancelled():
                return
            if (error := future.exception()) is not None:
                self.progress.gave_up = f"an event could not be delivered: {error}"
                return
            place = future.result()
            source = f"{place.topic}/{place.partition}"
            coverage.sent(user_id, source, place.offset, position, sent_at)

        return done

    def _receive(self, made: Recommendation, now: float) -> bool:
        """Take a list into account; False while its event is not known to have been sent."""
        progress, trigger = self.progress, made.trigger
        if trigger is not None:
            source = f"{trigger.topic}/{trigger.partition}"
            if not progress.coverage.knows(made.user_id, source, trigger.offset):
                return False
        position = progress.coverage.received(made.user_id, made.applied, now)
        if made.user_id in progress.last:
            progress.previous[made.user_id] = progress.last[made.user_id]
        progress.last[made.user_id] = made
        progress.focus = made.user_id
        if position is not None and progress.phase == "stream" and progress.scores is not None:
            progress.scores.score(made.user_id, position, [item.item_id for item in made.items])
        return True


async def _every(seconds: float, tick: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        tick()
