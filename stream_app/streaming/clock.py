"""Compares clocks with the brokers', by the times that these give to records.

Kafka's protocol has no request that tells the time. A record that the broker has stamped is a time
that has passed there; one that arrives while we look was stamped between two of our own times.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from schemas import RECOMMENDATIONS, Recommendation, RejectedMessage, decode_output, topic_name
from stream_app.settings import Settings
from stream_app.streaming.reading import topic_reader
from stream_app.streaming.refusals import in_words

BROKER_STAMPED = 1
"""`timestamp_type` of a record with the time of its append."""
LISTEN_S = 1.5
"""How long is waited for a record to arrive."""
POLL_S = 0.1

Clock = Callable[[], int]


def now_ms() -> int:
    """Unix ms of this machine."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Differences in ms; None where there was nothing to tell it by."""

    behind_ms: int | None = None
    """By how much, at least, this machine's clock is behind the broker's; 0 or less: it is not."""
    ahead_ms: int | None = None
    """By how much, at least, it is ahead."""
    worker_ahead_ms: int | None = None
    """By how much the clock of the worker that made the newest list is ahead of the broker's."""


async def read_clock(
    settings: Settings, places: Collection[tuple[str, int]], clock_ms: Clock = now_ms
) -> ClockReading:
    """Look at the newest records of partitions, and for `LISTEN_S` at those that arrive.

    Raises as `topic_reader`.
    """
    if not places:
        return ClockReading()
    async with topic_reader(settings, places) as reader, in_words(settings):
        begins, ends = await reader.begins(places), await reader.ends(places)
        last = {place: (max(begins[place], end - 1), end) for place, end in ends.items()}
        records = [one for some in (await reader.read_all(last)).values() for one in some]
        stamped = [one for one in records if one.timestamp_type == BROKER_STAMPED]
        behind = max((one.timestamp for one in stamped), default=None)
        reading = ClockReading(
            behind_ms=None if behind is None else behind - clock_ms(),
            worker_ahead_ms=_worker(settings, stamped),
        )
        deadline = time.monotonic() + LISTEN_S
        ends = await reader.ends(places)  # what came while those were read came before `before_ms`
        while time.monotonic() < deadline:
            before_ms = clock_ms()
            await asyncio.sleep(POLL_S)
            now = await reader.ends(places)
            came = {one: (end - 1, end) for one, end in now.items() if end > ends[one]}
            if came:
                some = await reader.read_all(came)
                times = [
                    one.timestamp for records in some.values() for one in records
                    if one.timestamp_type == BROKER_STAMPED
                ]  # fmt: skip
                if times:
                    ahead = before_ms - max(times)
                    return ClockReading(reading.behind_ms, ahead, reading.worker_ahead_ms)
            ends = now
    return reading


def _worker(settings: Settings, stamped: list[Any]) -> int | None:
    name = topic_name(settings.topic_prefix, RECOMMENDATIONS)
    newest = None
    for record in stamped:
        if record.topic == name and (newest is None or record.timestamp > newest.timestamp):
            newest = record
    if newest is None:
        return None
    try:
        made = decode_output(Recommendation, newest.value)
    except RejectedMessage:
        return None
    return made.generated_at_ms - int(newest.timestamp)
