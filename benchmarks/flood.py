"""What other users notice of a flood by one user: click to list, open loop, on a real worker.

    python -m benchmarks flood [--rate 300] [--flood 3000] [--seconds 10]

The same load of many users runs alone, beside one user who clicks in order, and beside one user
whose clicks come late (their times are old, so the history has to be replayed). Users on the
partition of the flood are listed on their own: they stand in one queue with it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.worker import (
    BUNDLE,
    PARTITIONS,
    Load,
    _receipt,
    applied,
    batches,
    send_all,
    take_list,
    wait_applied,
)
from schemas import RECOMMENDATIONS, Click, Purchase, Recommendation, decode_output
from stream_app.broker import EmbeddedKafka
from stream_app.bundle import load_bundle
from stream_app.demo.coverage import Coverage
from stream_app.demo.session import free_port, worker_process
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.clients import EventSender, event_sender, follower

FLOODER = "mallory"
SLICE_S = 0.02  # a flood comes in slices: one client sends whole batches
WARM_EVENTS = 30_000

Flood = Callable[[], Iterator[Click]]


def in_order() -> Iterator[Click]:
    """One item again and again."""
    for number in itertools.count():
        yield Click(user_id=FLOODER, item_id="1", timestamp_ms=now_ms() - 10**6 + number)


def late() -> Iterator[Click]:
    """Every click is older than the one before."""
    began = now_ms() - 10**6
    for number in itertools.count():
        yield Click(user_id=FLOODER, item_id=str(1 + number % 500), timestamp_ms=began - number)


def now_ms() -> int:
    """Unix ms."""
    return time.time_ns() // 1_000_000


FLOODS: dict[str, Flood | None] = {"none": None, "in order": in_order, "late": late}


async def measure(
    settings: Settings, events: list[Click | Purchase], rate: float, flood: Flood | None, per_s: int
) -> tuple[dict[str, int], Coverage, int]:
    """Partition by user, latencies of the events, and the number of clicks of the flood."""
    coverage, partitions = Coverage(), dict[str, int]()
    lists = settings.topic_prefix + RECOMMENDATIONS.name
    async with (
        follower(settings, [lists], from_start=False) as records,
        event_sender(settings) as sender,
        event_sender(settings) as flooding,
    ):
        load = asyncio.create_task(_send(sender, events, rate, coverage, partitions))
        beside = asyncio.create_task(_flood(flooding, flood, per_s, load, partitions))
        early: list[tuple[Recommendation, float]] = []
        while not load.done() or coverage.open:
            arrived = await records.poll(0.02)
            at = time.monotonic()
            early += [
                (decode_output(Recommendation, record.value), at)
                for record in arrived
                if record.key != FLOODER.encode()
            ]
            early = [one for one in early if not take_list(coverage, *one)]
        await load
        flooded = await beside
    return partitions, coverage, flooded


async def _send(
    sender: EventSender,
    events: list[Click | Purchase],
    rate: float,
    coverage: Coverage,
    partitions: dict[str, int],
) -> None:
    began = time.monotonic()
    for position, event in enumerate(events):
        due = began + position / rate
        if (early := due - time.monotonic()) > 0.001:
            await asyncio.sleep(early)
        future = await sender.send(event)
        future.add_done_callback(_receipt(coverage, event.user_id, position, due))
        future.add_done_callback(_place(partitions, event.user_id))


async def _flood(
    sender: EventSender,
    flood: Flood | None,
    per_s: int,
    load: asyncio.Task[None],
    partitions: dict[str, int],
) -> int:
    if flood is None:
        return 0
    sent, clicks, began = 0, flood(), time.monotonic()
    while not load.done():
        due = int((time.monotonic() - began) * per_s)
        for click in itertools.islice(clicks, due - sent):
            future = await sender.send(click)
        if due > sent:
            future.add_done_callback(_place(partitions, FLOODER))
        sent = due
        await asyncio.sleep(SLICE_S)
    return sent


def _place(partitions: dict[str, int], user_id: str) -> Callable[[asyncio.Future], None]:
    def done(future: asyncio.Future) -> None:
        partitions[user_id] = future.result().partition

    return done


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=300, help="events/s of all other users")
    parser.add_argument("--flood", type=int, default=3_000, help="clicks/s of the one user")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    load = Load(load_bundle(BUNDLE).catalog.ids[:])
    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka() as kafka:
        settings = Settings(
            bootstrap_servers=kafka.bootstrap, app_id="bench", bundle=str(BUNDLE),
            metrics_port=free_port(), session_timeout_s=60, stuck_timeout_s=120,
        )  # fmt: skip
        asyncio.run(topics.create(settings, PARTITIONS, replication=1))
        with worker_process(settings, Path(folder) / "worker.log"):
            asyncio.run(send_all(settings, load.events(WARM_EVENTS)))
            wait_applied(settings, WARM_EVENTS)
            print("click to list of the other users, ms")
            print("flood       clicks/s    p50    p95    p99    max  events per batch")
            for name in list(FLOODS) * options.rounds:
                events = load.events(int(options.rate * options.seconds))
                done, made = applied(settings), batches(settings)
                _, coverage, flooded = asyncio.run(
                    measure(settings, events, options.rate, FLOODS[name], options.flood)
                )
                wait_applied(settings, done + len(events) + flooded)
                p50, p95, p99 = np.percentile(coverage.latencies_ms, [50, 95, 99])
                size = (applied(settings) - done) / (batches(settings) - made)
                print(
                    f"{name:10} {flooded / options.seconds:9.0f} {p50:6.0f} {p95:6.0f} {p99:6.0f}"
                    f" {max(coverage.latencies_ms):6.0f} {size:17.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
