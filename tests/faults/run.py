"""One run: load, workers, faults one after another, the end of the load, and the checks."""

from __future__ import annotations

import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from stream_app.broker import EmbeddedKafka
from stream_app.settings import Settings
from tests.faults.arena import HANG_S, Arena, Hang
from tests.faults.audit import Audit, audit
from tests.faults.cluster import Cluster
from tests.faults.deck import FAULTS, Fault, deal
from tests.faults.fleet import Exit, Fleet
from tests.faults.load import Load
from tests.faults.progress import Progress
from tests.faults.verify import counts, verify

BUNDLE = Path(__file__).parents[2] / "examples" / "movielens" / "bundle"
RECOVERY_TIMEOUT_S = 60.0
DRAIN_S = 120.0
OVERLAP = 0.5
"""Share of the faults that come while the one before has not healed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do in a run."""

    cycles: int
    seed: int
    workers: int = 3
    partitions: int = 6
    rate: float = 400.0
    """Messages per second."""
    faults: tuple[Fault, ...] = FAULTS
    overlap: float = OVERLAP
    module: tuple[str, ...] = ("stream_app", "worker")
    between: Callable[[Arena], None] | None = None
    """What to do after every fault besides."""
    sources_whole: bool = True
    """Whether the source topics still hold everything at the end."""
    hang_s: float = HANG_S
    drain_s: float = DRAIN_S
    """How long the workers may take for what is left when the load ends."""
    orderly: bool = True
    """Whether the workers are told to stop at the end, or killed."""
    settled: bool = True
    """Whether everything must be committed at the end; else only what is committed is checked."""
    say: Callable[[str], None] = print


@dataclass(slots=True)
class Result:
    """What came of a run."""

    plan: Plan
    counts: Counter[str] = field(default_factory=Counter)
    recovery_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    not_recovered: list[str] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    hangs: list[Hang] = field(default_factory=list)
    starts: int = 0
    load: dict[str, int] = field(default_factory=dict)
    final_lag: int = 0
    drain_s: float = 0.0
    seconds: float = 0.0
    audit: Audit = field(default_factory=Audit)
    verify: dict[str, Any] | None = None

    @property
    def unexpected(self) -> list[Exit]:
        """Exits that no fault explains."""
        return [ended for ended in self.exits if not ended.why]

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing twice, nothing stuck."""
        return not (
            self.audit.findings()
            or self.hangs
            or self.unexpected
            or self.final_lag
            or self.broken_promises
        )

    @property
    def broken_promises(self) -> dict[str, int]:
        """What the checker found, but for what a former owner has written late.

        Lists: the limit which docs/delivery.md names, with the rule by which a subscriber drops
        them. Rows that stand last: they are covered at the next write or takeover.
        """
        if self.verify is None:
            return {}
        found = counts(self.verify)
        return {
            kind: count
            for kind, count in found.items()
            if count and kind not in ("stale", "stale_last")
        }


def run(plan: Plan, directory: Path, kafka: EmbeddedKafka) -> Result:
    """Run a plan on a broker that nobody else uses; logs of the workers go to `directory`."""
    settings = _settings(kafka)
    cluster = Cluster(settings, plan.partitions)
    cluster.create()
    result = Result(plan)
    load = Load(settings, plan.seed, plan.rate)
    began = time.monotonic()
    with _arena(plan, kafka, cluster, Fleet(settings, directory, plan.module)) as arena:
        for _ in range(plan.workers):
            arena.fleet.add()
        assert arena.until(lambda: all(slot.ready for slot in arena.fleet.slots), 90), (
            "the workers do not become ready; see their logs in " + str(directory)
        )
        load.start()
        for number, fault in enumerate(islice(deal(plan.faults, arena.dice), plan.cycles)):
            _cycle(plan, arena, fault, number, result)
        _drain(plan, arena, load, result)
        result.exits, result.hangs = arena.fleet.exits, arena.hangs
        result.starts = sum(slot.starts for slot in arena.fleet.slots)
    result.seconds = time.monotonic() - began
    result.load = load.ledger.counts() | {"failed": len(load.ledger.failed)}
    plan.say("checking")
    result.audit = audit(cluster, load.ledger, sources_whole=plan.sources_whole)
    result.verify = verify(settings, settled=plan.settled)
    return result


def _settings(kafka: EmbeddedKafka) -> Settings:
    return Settings(
        bootstrap_servers=kafka.bootstrap,
        app_id="faults",
        topic_prefix="faults.",
        bundle=str(BUNDLE),
        session_timeout_s=6,
        list_length=3,
    )


@contextmanager
def _arena(plan: Plan, kafka: EmbeddedKafka, cluster: Cluster, fleet: Fleet) -> Iterator[Arena]:
    progress = Progress(cluster.settings, plan.partitions)
    arena = Arena(kafka, cluster, fleet, progress, Random(plan.seed), hang_s=plan.hang_s)
    progress.start()
    try:
        yield arena
    finally:
        fleet.kill_all()
        progress.stop()


def _cycle(plan: Plan, arena: Arena, fault: Fault, number: int, result: Result) -> None:
    began = time.monotonic()
    exits, hangs = len(arena.fleet.exits), len(arena.hangs)
    fault.run(arena)
    if plan.between is not None:
        plan.between(arena)
    result.counts[fault.name] += 1
    healed = ""
    if arena.dice.random() < plan.overlap:
        arena.pause(arena.dice.uniform(0.3, 2))
    elif _recover(arena):
        seconds = time.monotonic() - began
        result.recovery_s[fault.name].append(seconds)
        healed = f", healed after {seconds:.1f} s"
        arena.pause(arena.dice.uniform(0.2, 1))
    else:
        result.not_recovered.append(f"cycle {number}: {fault.name}")
        healed = ", NOT HEALED"
    ended = " ".join(
        f"{e.worker}={e.code}" + ("" if e.why else " UNEXPECTED") for e in arena.fleet.exits[exits:]
    )
    lag = arena.progress.last[1].lag if arena.progress.last else -1
    plan.say(
        f"{time.monotonic() - arena.fleet.began:7.1f} s  {number + 1:4d}  {fault.name}{healed}"
        f"  lag {lag}  {ended}" + ("  HANG" if len(arena.hangs) > hangs else "")
    )


def _recover(arena: Arena) -> bool:
    """Wait until everything that was sent before now is committed."""
    now = time.monotonic()
    if not arena.until(lambda: arena.progress.offsets_after(now) is not None, RECOVERY_TIMEOUT_S):
        return False
    seen = arena.progress.offsets_after(now)
    assert seen is not None
    return arena.until(lambda: arena.progress.reached(seen.ends), RECOVERY_TIMEOUT_S)


def _drain(plan: Plan, arena: Arena, load: Load, result: Result) -> None:
    """End the load, let the workers finish, and stop them in order."""
    load.stop()
    now = time.monotonic()

    def done() -> bool:
        seen = arena.progress.offsets_after(now)
        return seen is not None and seen.lag == 0

    arena.until(done, plan.drain_s)
    result.drain_s = time.monotonic() - now
    last = arena.progress.last
    result.final_lag = last[1].lag if last is not None else -1
    plan.say(f"drained in {result.drain_s:.1f} s, lag {result.final_lag}")
    for slot in arena.fleet.slots:
        slot.keep = False
    if not plan.orderly:
        return
    for slot in arena.fleet.running():
        arena.until(lambda slot=slot: slot.ready or slot.process is None, 30)  # type: ignore[misc]
    for slot in arena.fleet.running():
        arena.terminate(slot)


def temporary_directory() -> Path:
    """Where the logs of a run go; it stays, for whoever looks into a finding."""
    return Path(tempfile.mkdtemp(prefix="stream-app-faults-"))
