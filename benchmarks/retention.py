"""State over 24 simulated hours with a million user ids: rows, memory and what removal costs.

Every user comes for one visit; rows expire after an hour of silence. Written to a real changelog.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import psutil

from stream_app.broker import EmbeddedKafka
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.changelog import ChangelogReader
from stream_app.streaming.connection import client_options
from stream_app.streaming.expiry import Expiry, StreamClock
from stream_app.streaming.ownership import UserRows
from stream_app.streaming.publisher import Publisher
from stream_app.streaming.stores import MemoryRows

BEGIN_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
STEPS_PER_HOUR = 20  # as often as `Expiry` sweeps
ROW_BYTES = 1000


async def run(settings: Settings, users: int, hours: int) -> None:
    """Print the state after every few hours."""
    options = client_options(settings)
    topic = topics.changelog_topic(settings.app_id)
    publisher = Publisher(options, "bench")
    await publisher.start()
    rows = UserRows(MemoryRows(), topic, ChangelogReader(options, topic), publisher)
    await rows.take(range(4), generation=1)
    clock = StreamClock()
    expiry = Expiry(rows, clock, HOUR_MS)
    per_step = users // (hours * STEPS_PER_HOUR)
    user = removed = most = 0
    sweeping = 0.0
    print(f"{users} users over {hours} h, {per_step * STEPS_PER_HOUR} an hour, retention 1 h")
    print("  hour     rows  removed   RSS MB")
    for step in range(hours * STEPS_PER_HOUR):
        now_ms = BEGIN_MS + step * HOUR_MS // STEPS_PER_HOUR
        clock.observe((partition, now_ms) for partition in range(4))
        for start in range(0, per_step, 1000):
            count = min(1000, per_step - start)
            changes = [(n % 4, b"user-%d" % n, b"s" * ROW_BYTES) for n in range(user, user + count)]
            user += count
            await rows.write(changes, now_ms)
        began = time.process_time()
        removed += await expiry.sweep()
        sweeping += time.process_time() - began
        most = max(most, rows.count())
        if step % (4 * STEPS_PER_HOUR) == 4 * STEPS_PER_HOUR - 1:
            resident = psutil.Process().memory_info().rss / 1e6
            hour = (step + 1) // STEPS_PER_HOUR
            print(f"  {hour:4} {rows.count():8} {removed:8} {resident:8.0f}", flush=True)
    print(f"  at most {most} rows ({most / users:.1%} of all users)")
    print(f"  sweeping took {sweeping / removed * 1e6:.1f} us of CPU per user removed")
    await publisher.stop()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--hours", type=int, default=24)
    options = parser.parse_args()
    with EmbeddedKafka() as kafka:
        settings = Settings(bootstrap_servers=kafka.bootstrap, app_id="bench")
        asyncio.run(topics.create(settings, 4, replication=1))
        asyncio.run(run(settings, options.users, options.hours))


if __name__ == "__main__":
    main()
