"""The whole worker on a real Kafka: events per core, where they go, and latency under open load.

The worker runs in a process of its own. Its share of the machine is read from the operating
system, so events per core do not depend on who else is busy; broker, load and worker do share the
cores, so latency does. The ceiling is what aiokafka needs to consume and produce the same bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import re
import signal
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from schemas import CLICKS, RECOMMENDATIONS, Click, Purchase, Recommendation, decode_output
from stream_app.broker import EmbeddedKafka
from stream_app.bundle import load_bundle
from stream_app.demo.coverage import Coverage
from stream_app.demo.session import free_port, worker_process
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.clients import event_sender, follower
from stream_app.streaming.connection import client_options
from stream_app.streaming.publisher import Publisher
from stream_app.streaming.topics import changelog_topic

BUNDLE = Path(__file__).parents[1] / "examples" / "movielens" / "bundle"
PARTITIONS = 4
USERS = 5_000
PURCHASES = 0.2
SHARES = (0.3, 0.6, 0.8)
POLL_S = 0.25  # a metrics page costs the worker some milliseconds


class Load:
    """Events of many users on random items of the bundle, each user once in a random round.

    A person does not act twice within milliseconds; and a list for every event is the most work.
    """

    def __init__(self, items: list[str]) -> None:
        self._items = items
        self._dice = np.random.default_rng(7)
        self._time_ms = time.time_ns() // 1_000_000 - 10**9

    def events(self, count: int) -> list[Click | Purchase]:
        """The next events."""
        rounds = [self._dice.permutation(USERS) for _ in range(-(-count // USERS))]
        users = np.concatenate(rounds)[:count].tolist()
        items = self._dice.integers(len(self._items), size=count).tolist()
        bought = (self._dice.random(count) < PURCHASES).tolist()
        made: list[Click | Purchase] = []
        for user, item, purchase in zip(users, items, bought, strict=True):
            self._time_ms += 1
            kind = Purchase if purchase else Click
            made.append(
                kind(user_id=f"user-{user}", item_id=self._items[item], timestamp_ms=self._time_ms)
            )
        return made


@dataclass
class Backlog:
    """What the worker did with a backlog."""

    events: int
    seconds: float
    cpu_seconds: float
    stages: dict[str, float]
    batches: float

    @property
    def per_core(self) -> float:
        """Events per second of processor time."""
        return self.events / self.cpu_seconds


async def send_all(settings: Settings, events: list[Click | Purchase]) -> None:
    """Send as fast as it goes."""
    async with event_sender(settings) as sender:
        for event in events:
            await sender.send(event)


def metrics(settings: Settings) -> str:
    """The worker's metrics page."""
    url = f"http://127.0.0.1:{settings.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


def applied(settings: Settings) -> float:
    """Events that the worker has taken, from its metrics."""
    found = re.findall(r"^stream_app_events_total\{.*\} (\S+)$", metrics(settings), re.M)
    return sum(map(float, found))


def stage_seconds(settings: Settings) -> dict[str, float]:
    """Seconds by stage since the start of the worker."""
    pattern = r'^stream_app_stage_seconds_sum\{stage="(\w+)"\} (\S+)$'
    return {name: float(value) for name, value in re.findall(pattern, metrics(settings), re.M)}


def batches(settings: Settings) -> float:
    """Batches since the start of the worker."""
    (count,) = re.findall(r"^stream_app_batch_size_count (\S+)$", metrics(settings), re.M)
    return float(count)


def wait_applied(settings: Settings, count: float) -> None:
    """Until the worker has taken so many events."""
    while applied(settings) < count:
        time.sleep(POLL_S)


def measure_backlog(settings: Settings, pid: int, load: Load, count: int) -> Backlog:
    """Let a backlog pile up while the worker is stopped, then let it go."""
    process = psutil.Process(pid)
    done, stages, made = applied(settings), stage_seconds(settings), batches(settings)
    process.send_signal(signal.SIGSTOP)
    asyncio.run(send_all(settings, load.events(count)))
    before, began = process.cpu_times(), time.monotonic()
    process.send_signal(signal.SIGCONT)
    wait_applied(settings, done + count)
    seconds, after = time.monotonic() - began, process.cpu_times()
    return Backlog(
        events=count,
        seconds=seconds,
        cpu_seconds=after.user + after.system - before.user - before.system,
        stages={
            name: total - stages.get(name, 0.0) for name, total in stage_seconds(settings).items()
        },
        batches=batches(settings) - made,
    )


def ceiling(settings: Settings, sizes: tuple[int, int], result: multiprocessing.Queue) -> None:
    """Consume the events and produce a row and a list of the same sizes for each; nothing else."""
    result.put(asyncio.run(_relay(settings, *sizes)))


async def _relay(settings: Settings, row_bytes: int, list_bytes: int) -> tuple[int, float]:
    topic = settings.topic_prefix + CLICKS.name
    publisher = Publisher(client_options(settings), "ceiling")
    await publisher.start()
    row, made, seen = b"r" * row_bytes, b"l" * list_bytes, 0
    began = time.process_time()
    async with follower(settings, [topic], from_start=True) as records:
        ends = await records.consumer.end_offsets(records.partitions)
        left = sum(ends.values())
        while seen < left:
            arrived = await records.poll(0.5)
            for start in range(0, len(arrived), settings.batch_max):
                outbox = publisher.outbox()
                for record in arrived[start : start + settings.batch_max]:
                    outbox.add(changelog_topic(settings.app_id), record.partition, record.key, row)
                    outbox.add(RECOMMENDATIONS.name, record.partition, record.key, made)
                await outbox.deliver()
            seen += len(arrived)
    await publisher.stop()
    return seen, time.process_time() - began


async def open_loop(
    settings: Settings, events: list[Click | Purchase], rate: float
) -> tuple[list[float], int]:
    """Latencies (ms) from an event's scheduled time to its first list, and the lists received."""
    coverage = Coverage()
    lists = settings.topic_prefix + RECOMMENDATIONS.name
    async with (
        follower(settings, [lists], from_start=False) as records,
        event_sender(settings) as sender,
    ):
        sending = asyncio.create_task(_send_on_time(sender, events, rate, coverage))
        early: list[tuple[Recommendation, float]] = []
        while not sending.done() or coverage.open:
            arrived = await records.poll(0.02)
            now = time.monotonic()
            early += [(decode_output(Recommendation, record.value), now) for record in arrived]
            early = [(made, at) for made, at in early if not take_list(coverage, made, at)]
        await sending
    return coverage.latencies_ms, coverage.lists


def take_list(coverage: Coverage, made: Recommendation, at: float) -> bool:
    """Count a list; False when the place of its event is not known yet."""
    trigger = made.trigger
    if trigger is not None:
        source = f"{trigger.topic}/{trigger.partition}"
        if not coverage.knows(made.user_id, source, trigger.offset):
            return False
    coverage.received(made.user_id, made.applied, at)
    return True


async def _send_on_time(
    sender: object, events: list[Click | Purchase], rate: float, coverage: Coverage
) -> None:
    began = time.monotonic()
    for position, event in enumerate(events):
        due = began + position / rate
        if (early := due - time.monotonic()) > 0.001:
            await asyncio.sleep(early)
        future = await sender.send(event)  # type: ignore[attr-defined]
        future.add_done_callback(_receipt(coverage, event.user_id, position, due))


def _receipt(
    coverage: Coverage, user_id: str, position: int, due: float
) -> Callable[[asyncio.Future], None]:
    def done(future: asyncio.Future) -> None:
        place = future.result()
        coverage.sent(user_id, f"{place.topic}/{place.partition}", place.offset, position, due)

    return done


async def mean_bytes(settings: Settings, topic: str) -> int:
    """Mean size of the values of a topic."""
    async with follower(settings, [topic], from_start=True) as records:
        sizes = [len(record.value or b"") async for record in records.to_end()]
    return int(np.mean(sizes))


def report(backlog: Backlog, relay: tuple[int, float]) -> None:
    """Print the backlog's figures."""
    ceiling_per_core = relay[0] / relay[1]
    per_event = backlog.cpu_seconds / backlog.events * 1e6
    print(f"backlog of {backlog.events} events, {USERS} users, {PURCHASES:.0%} purchases")
    print(f"  {backlog.per_core:8.0f} events/s per core ({per_event:.0f} us of CPU per event)")
    print(f"  {backlog.events / backlog.seconds:8.0f} events/s by the clock")
    print(f"  {backlog.events / backlog.batches:8.0f} events per batch")
    print(f"  {ceiling_per_core:8.0f} events/s per core: aiokafka alone, same bytes")
    print(f"  {backlog.per_core / ceiling_per_core:8.2f} of that ceiling")
    print("share of the worker's CPU by stage")
    stages = {name: taken for name, taken in backlog.stages.items() if name != "publish"}
    for name, seconds in sorted(stages.items(), key=lambda item: -item[1]):
        share = seconds / backlog.cpu_seconds
        print(f"  {name:16} {seconds / backlog.events * 1e6:7.1f} us/event {share:6.0%}")
    rest = backlog.cpu_seconds - sum(stages.values())
    share = rest / backlog.cpu_seconds
    print(f"  {'Kafka and Faust':16} {rest / backlog.events * 1e6:7.1f} us/event {share:6.0%}")
    print(f"waited for the broker: {backlog.stages['publish'] / backlog.seconds:.0%} of the time")


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60_000, help="size of the backlog")
    parser.add_argument("--seconds", type=float, default=15, help="length of each open-loop run")
    options = parser.parse_args()
    load = Load(load_bundle(BUNDLE).catalog.ids[:])
    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka() as kafka:
        settings = Settings(
            bootstrap_servers=kafka.bootstrap, app_id="bench", bundle=str(BUNDLE),
            metrics_port=free_port(), session_timeout_s=60, stuck_timeout_s=120,
        )  # fmt: skip
        asyncio.run(topics.create(settings, PARTITIONS, replication=1))
        with worker_process(settings, Path(folder) / "worker.log") as worker:
            for _ in range(2):  # fill the rows: a full history costs more than an empty one
                asyncio.run(send_all(settings, load.events(options.events)))
            wait_applied(settings, 2 * options.events)
            backlog = measure_backlog(settings, worker.pid, load, options.events)
            sizes = (
                asyncio.run(mean_bytes(settings, changelog_topic(settings.app_id))),
                asyncio.run(mean_bytes(settings, RECOMMENDATIONS.name)),
            )
            print(f"mean bytes: row {sizes[0]}, list {sizes[1]}")
            result: multiprocessing.Queue = multiprocessing.get_context("spawn").Queue()
            relaying = multiprocessing.get_context("spawn").Process(
                target=ceiling, args=(replace(settings, app_id="bench"), sizes, result)
            )
            relaying.start()
            relay = result.get(timeout=300)
            relaying.join()
            report(backlog, relay)
            print("click to list, open loop, ms (scheduled time to receipt)")
            print("   rate/s   of max    p50    p95    p99  lists per event")
            for share in SHARES:
                rate = share * backlog.per_core
                events = load.events(int(rate * options.seconds))
                latencies, lists = asyncio.run(open_loop(settings, events, rate))
                p50, p95, p99 = np.percentile(latencies, [50, 95, 99])
                print(
                    f"  {rate:7.0f} {share:8.0%} {p50:6.0f} {p95:6.0f} {p99:6.0f}"
                    f"  {lists / len(events):6.2f}"
                )


if __name__ == "__main__":
    main()
