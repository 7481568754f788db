"""How long a start takes with 100,000 rows on the changelog, to the first list.

Also what a row costs in memory, and what the plain reading of the topic takes, as the yardstick.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from benchmarks.worker import BUNDLE, PARTITIONS
from schemas import RECOMMENDATIONS, Click
from stream_app.broker import EmbeddedKafka
from stream_app.bundle import load_bundle
from stream_app.demo.session import free_port, worker_process
from stream_app.recommender import Recommender, SourceMessage
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.changelog import ChangelogReader
from stream_app.streaming.clients import event_sender, follower
from stream_app.streaming.connection import client_options
from stream_app.streaming.ownership import UserRows
from stream_app.streaming.publisher import Publisher
from stream_app.streaming.stores import MemoryRows
from stream_app.users.codec import encode_state

NOW_MS = 1_700_000_000_000
EVENTS = 60  # of a user: rows of 1.5 KB


def encoded_states(count: int) -> list[bytes]:
    """States of different users with `EVENTS` events each."""
    bundle = load_bundle(BUNDLE)
    recommender = Recommender(bundle)
    dice = np.random.default_rng(3)
    items = [bundle.catalog.ids[n] for n in range(len(bundle.index))]
    states = []
    for user in range(count):
        chosen = dice.choice(len(items), EVENTS, replace=False)
        messages = [
            SourceMessage(
                Click(user_id=f"u{user}", item_id=items[item], timestamp_ms=NOW_MS + place),
                "clicks", 0, place,
            )
            for place, item in enumerate(chosen)
        ]  # fmt: skip
        made = recommender.process(messages, {f"u{user}": None})
        states.append(encode_state(made.states[f"u{user}"]))
    return states


async def fill(settings: Settings, users: int) -> tuple[int, float, float]:
    """Write one row per user; returns bytes per row, and seconds by clock and CPU to read all."""
    states = await asyncio.to_thread(encoded_states, 200)
    options = client_options(settings)
    topic = topics.changelog_topic(settings.app_id)
    publisher = Publisher(options, "fill")
    await publisher.start()
    writer = UserRows(MemoryRows(), topic, ChangelogReader(options, topic), publisher)
    await writer.take(range(PARTITIONS), generation=1)
    for start in range(0, users, 1000):
        numbers = range(start, min(users, start + 1000))
        changes = [(n % PARTITIONS, b"user-%d" % n, states[n % len(states)]) for n in numbers]
        await writer.write(changes, NOW_MS)
    del writer
    began, cpu = time.monotonic(), time.process_time()
    reader = UserRows(MemoryRows(), topic, ChangelogReader(options, topic), publisher)
    await reader.take(range(PARTITIONS), generation=2)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    assert reader.count() == users
    await publisher.stop()
    return int(np.mean([len(state) for state in states])), seconds, cpu


async def first_list(settings: Settings) -> float:
    """Send one click for each partition and wait for its list; returns when it came."""
    topic = settings.topic_prefix + RECOMMENDATIONS.name
    async with (
        follower(settings, [topic], from_start=False) as records,
        event_sender(settings) as sender,
    ):
        now_ms = time.time_ns() // 1_000_000
        await sender.send(Click(user_id="first", item_id="318", timestamp_ms=now_ms))
        while not await records.poll(0.05):
            pass
        return time.monotonic()


def measure(settings: Settings, folder: Path, name: str) -> float:
    """Start a worker on what is there, and print how long it took to serve; returns its MB."""
    began = time.monotonic()
    with worker_process(settings, folder / f"{name}.log") as worker:
        seconds = asyncio.run(first_list(settings)) - began
        resident = psutil.Process(worker.pid).memory_info().rss / 1e6
        recovered = (folder / f"{name}.log").read_text().rpartition("recovered in ")[2].split()[0]
        print(f"  {name:28} {float(recovered):8.2f} {seconds:10.2f} {resident:8.0f}", flush=True)
        return resident


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, EmbeddedKafka() as kafka:
        folder = Path(name)
        settings = Settings(
            bootstrap_servers=kafka.bootstrap, app_id="bench", bundle=str(BUNDLE),
            metrics_port=free_port(), session_timeout_s=6, state_dir=str(folder / "rows"),
        )  # fmt: skip
        asyncio.run(topics.create(settings, PARTITIONS, replication=1))
        size, seconds, cpu = asyncio.run(fill(settings, options.users))
        print(f"{options.users} users, rows of {size} bytes")
        print(f"  read and merged in this process in {seconds:.2f} s ({cpu:.2f} s of CPU)")
        print("  worker started anew            recovery s  to 1st list s  RSS MB")
        empty = replace(settings, app_id="empty", topic_prefix="empty.")
        asyncio.run(topics.create(empty, PARTITIONS, replication=1))
        without = measure(empty, folder, "no rows")
        with_rows = measure(settings, folder, "memory")
        on_disk = replace(settings, state_store="rocksdb")
        measure(on_disk, folder, "rocksdb, nothing local")
        measure(on_disk, folder, "rocksdb, local copy")
        each = (with_rows - without) * 1e6 / options.users
        print(f"  memory per user: {each:.0f} bytes with the memory store")


if __name__ == "__main__":
    main()
