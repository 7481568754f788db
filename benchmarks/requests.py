"""Requests for lists beside a stream of events, on a real Kafka: time from a request to its answer.

Broker, worker and load share the cores of the machine. Latency is counted from a request's
scheduled time to the receipt of its answer, in an open loop: a slow answer delays no request.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np

from benchmarks.worker import BUNDLE, PARTITIONS, USERS, Load, send_all, wait_applied
from schemas import RECOMMENDATIONS, Recommendation, RecommendationRequest, decode_output
from stream_app.broker import EmbeddedKafka
from stream_app.bundle import load_bundle
from stream_app.demo.session import free_port, worker_process
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.clients import EventSender, event_sender, follower

LENGTHS = (10, 50, 200)
QUIET_S = 30


async def paced(rate: float, seconds: float) -> AsyncIterator[float]:
    """Scheduled times (monotonic) at `rate` per second, each when it has come."""
    began = time.monotonic()
    for place in range(int(rate * seconds)):
        due = began + place / rate
        if (early := due - time.monotonic()) > 0.001:
            await asyncio.sleep(early)
        yield due


async def ask(
    sender: EventSender, rate: float, seconds: float, k: int, due_at: dict[str, float]
) -> None:
    """Ask for lists of random users."""
    dice = np.random.default_rng(11)
    async for due in paced(rate, seconds):
        request_id = f"{k}-{len(due_at)}"
        due_at[request_id] = due
        user = f"user-{dice.integers(USERS)}"
        await sender.ask(RecommendationRequest(user_id=user, request_id=request_id, k=k))


async def feed(sender: EventSender, load: Load, rate: float, seconds: float) -> None:
    """Send events meanwhile."""
    events = iter(load.events(int(rate * seconds)))
    async for _ in paced(rate, seconds):
        await sender.send(next(events))


async def latencies(
    settings: Settings, start: Callable[[EventSender, dict[str, float]], list[asyncio.Task]]
) -> list[float]:
    """Milliseconds from each request's scheduled time to its first answer."""
    lists = settings.topic_prefix + RECOMMENDATIONS.name
    due_at: dict[str, float] = {}
    found: dict[str, float] = {}
    async with (
        follower(settings, [lists], from_start=False) as records,
        event_sender(settings) as sender,
    ):
        running = start(sender, due_at)
        last = time.monotonic()
        while not all(task.done() for task in running) or len(found) < len(due_at):
            arrived = await records.poll(0.02)
            now = time.monotonic()
            for record in arrived:
                made = decode_output(Recommendation, record.value)
                if made.request_id is not None:
                    found.setdefault(made.request_id, (now - due_at[made.request_id]) * 1e3)
                    last = now
            if now - last > QUIET_S:
                raise SystemExit(f"{len(due_at) - len(found)} requests have no answer")
        await asyncio.gather(*running)
    return list(found.values())


def main() -> None:
    """One line for each length of list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=100, help="requests per second")
    parser.add_argument("--events", type=float, default=300, help="events per second beside them")
    parser.add_argument("--seconds", type=float, default=15, help="for each length")
    options = parser.parse_args()
    load = Load(load_bundle(BUNDLE).catalog.ids[:])
    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka() as kafka:
        settings = Settings(
            bootstrap_servers=kafka.bootstrap, app_id="bench", bundle=str(BUNDLE),
            metrics_port=free_port(), session_timeout_s=60, stuck_timeout_s=120,
        )  # fmt: skip
        asyncio.run(topics.create(settings, PARTITIONS, replication=1))
        with worker_process(settings, Path(folder) / "worker.log"):
            asyncio.run(send_all(settings, load.events(4 * USERS)))
            wait_applied(settings, 4 * USERS)
            print(f"{options.rate:g} requests/s beside {options.events:g} events/s; "
                  f"ms from a request's scheduled time to the receipt of its answer")  # fmt: skip
            print("| items | requests | p50 | p95 | p99 |\n|---|---|---|---|---|")
            for k in LENGTHS:

                def start(
                    sender: EventSender, due_at: dict[str, float], k: int = k
                ) -> list[asyncio.Task]:
                    asking = ask(sender, options.rate, options.seconds, k, due_at)
                    feeding = feed(sender, load, options.events, options.seconds)
                    return [asyncio.create_task(asking), asyncio.create_task(feeding)]

                times = asyncio.run(latencies(settings, start))
                p50, p95, p99 = np.percentile(times, [50, 95, 99])
                print(f"| {k} | {len(times):,} | {p50:.0f} | {p95:.0f} | {p99:.0f} |", flush=True)


if __name__ == "__main__":
    main()
