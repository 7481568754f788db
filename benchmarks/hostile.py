"""Hostile input: a million payloads through the engine, and what they cost a whole worker.

    python -m benchmarks hostile [--payloads 1000000] [--seed 1] [--records 20000] [--rounds 3]

Every verdict of the first part is checked (tests/hostile/). The second part sends a worker the same
number of records clean, with a tenth of hostile ones, and nothing but hostile ones, in turns and in
one run, each as a backlog. Ends with 1 when a payload got a wrong verdict.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import psutil

from benchmarks.worker import BUNDLE, PARTITIONS, applied, wait_applied
from schemas import DEAD_LETTERS
from stream_app.broker import EmbeddedKafka
from stream_app.demo.session import free_port, worker_process
from stream_app.settings import Settings
from stream_app.streaming import topics
from stream_app.streaming.clients import event_sender, follower
from tests.hostile.engine_run import events_in, make_engine, run
from tests.hostile.payloads import Sample, samples

MIXED = 0.1


@dataclass(frozen=True)
class Phase:
    """A backlog of records and how a worker dealt with it."""

    records: int
    rejected: int
    megabytes: float
    seconds: float
    cpu_seconds: float
    resident_mb: float

    @property
    def per_second(self) -> float:
        """Records by the clock."""
        return self.records / self.seconds

    @property
    def per_core(self) -> float:
        """Records per second of the worker's processor time."""
        return self.records / self.cpu_seconds


def now_ms() -> int:
    """Unix ms."""
    return time.time_ns() // 1_000_000


def through_the_engine(payloads: int, seed: int) -> bool:
    """Check every verdict; rows are kept from step to step. Returns whether all were right."""
    at_ms = now_ms()
    stream = samples(seed, now_ms=at_ms)
    began = time.process_time()
    verdicts = run(make_engine(at_ms), islice(stream, payloads), at_ms)
    seconds = time.process_time() - began
    accepted = verdicts.reasons["accepted"]
    print(f"{payloads} payloads of {len(verdicts.made)} kinds, seed {seed}, {seconds:.0f} s of CPU")
    for reason, count in verdicts.reasons.most_common():
        print(f"  {count:8} {reason}")
    print(f"  {len(verdicts.wrong):8} with a wrong verdict")
    print(f"  {events_in(verdicts.rows):8} events in the rows of {len(verdicts.rows)} users")
    for text in verdicts.wrong[:20]:
        print(text)
    return not verdicts.wrong and events_in(verdicts.rows) == accepted


def backlog(seed: int, count: int, share: float) -> list[Sample]:
    """Records of which `share` are hostile; 1 means that all must be rejected."""
    stream = samples(seed, now_ms=now_ms(), hostile=share)
    # The client library refuses to send a record of nothing; tests/integration has one.
    stream = (one for one in stream if (one.key, one.value) != (None, None))
    if share == 1:
        stream = (one for one in stream if one.expected is not None)
    return list(islice(stream, count))


async def send(settings: Settings, records: Sequence[Sample]) -> None:
    """Send as fast as it goes."""
    async with event_sender(settings) as sender:
        for one in records:
            topic = settings.topic_prefix + one.topic
            await sender.send_raw(topic, one.key, one.value, one.headers)


def measure(settings: Settings, process: psutil.Process, records: Sequence[Sample]) -> Phase:
    """Let the records pile up while the worker is stopped, then let it go."""
    done = applied(settings)
    process.send_signal(signal.SIGSTOP)
    asyncio.run(send(settings, records))
    before, began = process.cpu_times(), time.monotonic()
    process.send_signal(signal.SIGCONT)
    wait_applied(settings, done + len(records))
    seconds, after = time.monotonic() - began, process.cpu_times()
    return Phase(
        records=len(records),
        rejected=sum(one.expected is not None for one in records),
        megabytes=sum(len(one.value or b"") for one in records) / 1e6,
        seconds=seconds,
        cpu_seconds=after.user + after.system - before.user - before.system,
        resident_mb=process.memory_info().rss / 1e6,
    )


async def dead_letters(settings: Settings) -> int:
    """Number of dead letters."""
    topic = settings.topic_prefix + DEAD_LETTERS.name
    async with follower(settings, [topic], from_start=True) as letters:
        return len([letter async for letter in letters.to_end()])


def through_a_worker(count: int, rounds: int, seed: int) -> bool:
    """Print a line per phase and the ratios; returns whether every rejected record is a letter."""
    phases: dict[str, list[Phase]] = {"clean": [], "mixed": [], "hostile": []}
    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka() as kafka:
        settings = Settings(
            bootstrap_servers=kafka.bootstrap, app_id="bench", bundle=str(BUNDLE),
            metrics_port=free_port(), session_timeout_s=60, stuck_timeout_s=120,
        )  # fmt: skip
        asyncio.run(topics.create(settings, PARTITIONS, replication=1))
        with worker_process(settings, Path(folder) / "worker.log") as worker:
            process = psutil.Process(worker.pid)
            for step in range(3):  # fill the rows: a full history costs more than an empty one
                measure(settings, process, backlog(seed - 1 - step, 40_000, 0))
            print("phase     rejected     MB  records/s  per core  resident MB")
            for number in range(rounds):
                for name, share in (("clean", 0.0), ("mixed", MIXED), ("hostile", 1.0)):
                    records = backlog(seed + number, count, share)
                    phase = measure(settings, process, records)
                    phases[name].append(phase)
                    print(
                        f"{name:8} {phase.rejected / count:9.0%} {phase.megabytes:6.1f} "
                        f"{phase.per_second:10.0f} {phase.per_core:9.0f} {phase.resident_mb:12.0f}",
                        flush=True,
                    )
            found = asyncio.run(dead_letters(settings))
    for name in ("mixed", "hostile"):
        by_clock, by_core = (
            median(getattr(one, what) for one in phases[name])
            / median(getattr(one, what) for one in phases["clean"])
            for what in ("per_second", "per_core")
        )
        print(f"{name} / clean: {by_clock:.2f} by the clock, {by_core:.2f} per core")
    rejected = sum(phase.rejected for group in phases.values() for phase in group)
    print(f"{rejected} records rejected, {found} dead letters")
    return rejected == found


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payloads", type=int, default=1_000_000, help="0 leaves this part out")
    parser.add_argument("--records", type=int, default=20_000, help="0 leaves the worker out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    fine = True
    if options.payloads:
        fine &= through_the_engine(options.payloads, options.seed)
    if options.records:
        fine &= through_a_worker(options.records, options.rounds, options.seed)
    if not fine:
        sys.exit(1)


if __name__ == "__main__":
    main()
