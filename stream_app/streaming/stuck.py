"""The rules by which a worker counts as stuck: each names one way in which one was seen to hang.

They are a pure function of successive looks and a clock, so that every one is tested without
waiting. A rule times how long something that must move has stayed the same. From half its time on
it is a suspicion, and the broker is asked; one that does not answer excuses what depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from stream_app.streaming.activity import Stage
from stream_app.streaming.group_view import GroupView
from stream_app.streaming.groups import Partition
from stream_app.streaming.probe import Snapshot, named

LOOP_STALL_S = 15.0
"""A loop that is silent for longer has missed three heartbeats of a default session."""


class Cause(Enum):
    """Why a worker is ended: a name for logs, and whether the broker may be to blame."""

    SLOW_SHUTDOWN = ("slow shutdown", False)
    BLOCKED_LOOP = ("blocked event loop", False)
    FAILED_START = ("failed start", True)
    OUT_OF_GROUP = ("out of the group", True)
    NO_PARTITION = ("no source partition", True)
    DEAD_AGENT = ("dead agent", False)
    BLOCKED_ENGINE = ("blocked engine", False)
    STUCK_PUBLISH = ("stuck publish", True)
    STUCK_RECOVERY = ("stuck recovery", True)
    STUCK_COMMIT = ("stuck commit", True)

    def __init__(self, title: str, needs_broker: bool) -> None:
        self.title = title
        self.needs_broker = needs_broker


class Finding(NamedTuple):
    """A rule that has run half its time or more."""

    cause: Cause
    detail: str
    held_s: float
    limit_s: float

    @property
    def proven(self) -> bool:
        """Whether the whole time is over."""
        return self.held_s > self.limit_s

    def __str__(self) -> str:
        return f"{self.cause.title}: {self.detail} for {self.held_s:.0f} s"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what may stay the same, in seconds; docs/delivery.md has the table."""

    start_s: float = 60.0
    stuck_s: float = 30.0
    shutdown_s: float = 25.0
    session_s: float = 15.0
    rebalance_s: float = 30.0
    """How long the group waits for its other members while this one asks to join."""

    @property
    def loop_s(self) -> float:
        """For an event loop to run."""
        return min(LOOP_STALL_S, self.stuck_s)

    @property
    def recovery_s(self) -> float:
        """For a record of the changelog: connections are made anew before the first."""
        return 2 * self.stuck_s


CAUSES = {Cause.BLOCKED_LOOP, Cause.DEAD_AGENT, Cause.BLOCKED_ENGINE, Cause.STUCK_PUBLISH}
CONSEQUENCES = {Cause.STUCK_RECOVERY, Cause.STUCK_COMMIT}
"""What the former bring about. Their own rule ends the worker a little later, and says why."""

Timer = tuple[Cause, Hashable]
Rule = Callable[[Snapshot, float], Iterator[Finding]]


@dataclass(slots=True)
class StuckRules:
    """Decides from successive looks whether, and by what, a worker is stuck."""

    limits: Limits
    sources: frozenset[Partition]
    """All source partitions of the group."""
    spare: bool = False
    """The worker has no source partition, and rightly so: others have them all."""
    _timers: dict[Timer, tuple[Hashable, float]] = field(default_factory=dict)
    _running: set[Timer] = field(default_factory=set)

    def findings(self, seen: Snapshot, pulses: Mapping[str, int], now: float) -> list[Finding]:
        """What has stayed the same for too long, or half of that, at `now` (seconds, monotonic).

        `pulses` counts the answers of each event loop. The first finding names a cause best.
        """
        self._running = set()
        if seen.partitions or not seen.ready:
            self.spare = False
        rules = (
            self._failed_start,
            self._out_of_group,
            self._no_partition,
            self._dead_agent,
            self._busy_agent,
            self._stuck_recovery,
            self._stuck_commit,
        )
        found = [*self._slow_shutdown(seen, now)]
        if not seen.stopping:
            found += self._blocked_loops(seen, pulses, now)
            found += (finding for rule in rules for finding in rule(seen, now))
        for ended in self._timers.keys() - self._running:
            del self._timers[ended]
        if CAUSES.isdisjoint(finding.cause for finding in found):
            return found
        return [finding for finding in found if finding.cause not in CONSEQUENCES]

    def weigh(self, found: list[Finding], view: GroupView) -> list[Finding]:
        """What remains of findings after the broker was asked; the others get their time again."""
        if not view.answers:
            self.pardon(lambda cause: cause.needs_broker)
            return [finding for finding in found if not finding.cause.needs_broker]
        idle = (Cause.NO_PARTITION, None)
        if idle in self._running and (view.owned is None or view.owned >= self.sources):
            self.spare = view.owned is not None
            del self._timers[idle]
            return [finding for finding in found if finding.cause is not Cause.NO_PARTITION]
        return found

    def pardon(self, which: Callable[[Cause], bool] = lambda cause: True) -> None:
        """Time begins anew for these causes: nothing could move, or nobody was looking."""
        self._timers = {
            timer: since for timer, since in self._timers.items() if not which(timer[0])
        }

    def _held(
        self, cause: Cause, value: Hashable, limit_s: float, now: float, detail: str,
        key: Hashable = None,
    ) -> Iterator[Finding]:  # fmt: skip
        """A finding if `value` was the same at every look for half of `limit_s`."""
        timer = (cause, key)
        self._running.add(timer)
        known, since = self._timers.get(timer, (None, now))
        if timer not in self._timers or known != value:
            self._timers[timer], since = (value, now), now
        if now - since > limit_s / 2:
            yield Finding(cause, detail, now - since, limit_s)

    def _slow_shutdown(self, seen: Snapshot, now: float) -> Iterator[Finding]:
        if seen.stopping:
            why = f" after the worker failed with {seen.crashed}" if seen.crashed else ""
            detail = f"stopping{why} has not ended"
            yield from self._held(Cause.SLOW_SHUTDOWN, 0, self.limits.shutdown_s, now, detail)

    def _blocked_loops(
        self, seen: Snapshot, pulses: Mapping[str, int], now: float
    ) -> Iterator[Finding]:
        for name, answered in pulses.items():
            if answered or seen.joined:  # otherwise it is part of the start
                detail = f"{name} has not run"
                limit_s = self.limits.loop_s
                yield from self._held(Cause.BLOCKED_LOOP, answered, limit_s, now, detail, key=name)

    def _failed_start(self, seen: Snapshot, now: float) -> Iterator[Finding]:
        if not seen.joined:
            limit_s = self.limits.start_s + self._waiting(seen)
            detail = "the worker has not joined its group"
            yield from self._held(Cause.FAILED_START, 0, limit_s, now, detail)

    def _out_of_group(self, seen: Snapshot, now: float) -> Iterator[Finding]:
        if not seen.joined:
            return
        cause, member = Cause.OUT_OF_GROUP, seen.member
        if not member.alive:
            detail = "the consumer's thread or its part for the group has ended"
            yield from self._held(cause, 0, self.limits.stuck_s, now, detail, key="ended")
        limit_s = self.limits.session_s + self.limits.stuck_s + self._waiting(seen)
        detail = "the group's coordinator has not taken this worker for a member"
        yield from self._held(cause, member.confirmed, limit_s, now, detail)

    def _no_partition(self, seen: Snapshot, now: float) -> Iterator[Finding]:
        if not seen.ready:
            return
        cause, limit_s = Cause.NO_PARTITION, self.limits.stuck_s
        if seen.missing:
            detail = f"not assigned with what belongs to it: {named(seen.missing)}"
            yield from self._held(cause, 0, limit_s, now, detail, key="missing")
        elif not seen.partitions:
            detail = "nothing is assigned here, and not everything to others"
            yield from self._held(cause, 0, limit_s, now, detail)

    def _dead_agent(self, seen: Snapshot, now: float) -> Iterator[Finding]:
        stage = seen.agent.stage
        if seen.ready and stage in (Stage.ABSENT, Stage.ENDED):
            detail = f"the agent {stage.value}"
            yield from self._held(Cause.DEAD_AGENT, stage, self.limits.stuck_s, now, detail)

    def _busy_agent(self, seen: Snapshot, now: float) -> Iterator[Finding]:
        """Also during a rebalance, which waits for the batch."""
        stage, limit_s = seen.agent.stage, self.limits.stuck_s
        detail = f"the agent {stage.value}, {seen.in_process} events in process,"
        if stage is Stage.ENGINE:
            yield from self._held(Cause.BLOCKED_ENGINE, seen.agent, limit_s, now, detail)
        elif stage is Stage.PUBLISH:
            moves = (seen.agent, seen.recovery_remaining)  # a repair reads while it publishes
            yield from self._held(Cause.STUCK_PUBLISH, moves, limit_s, now, detail)

    def _stuck_recovery(self, seen: Snapshot, now: float) -> Iterator[Finding]:
        if not seen.joined or seen.ready or seen.member.joining:
            return
        detail = f"{seen.state}, and nothing moves"
        limit_s = self.limits.recovery_s
        moves = (seen.recovering, seen.recovery_remaining)
        yield from self._held(Cause.STUCK_RECOVERY, moves, limit_s, now, detail)

    def _stuck_commit(self, seen: Snapshot, now: float) -> Iterator[Finding]:
        if not seen.ready:
            return
        for partition, offsets in seen.partitions.items():
            if offsets.lag:
                detail = (
                    f"{named([partition])} stays committed at {offsets.committed} with "
                    f"{offsets.lag} events to read, the agent {seen.agent.stage.value},"
                )
                limit_s, cause = self.limits.stuck_s, Cause.STUCK_COMMIT
                yield from self._held(cause, offsets.committed, limit_s, now, detail, partition)

    def _waiting(self, seen: Snapshot) -> float:
        return self.limits.rebalance_s if seen.member.joining else 0.0
