"""Checks of what runs: the group and its progress, rights on the brokers, clocks."""

from __future__ import annotations

from schemas import RECOMMENDATIONS, topic_name
from stream_app.doctor.cluster import Cluster
from stream_app.doctor.finding import Finding, NotChecked
from stream_app.status.gather import look
from stream_app.streaming.clock import Clock, ClockReading, read_clock
from stream_app.streaming.groups import CONSUMER, STABLE, foreign_members, read_group
from stream_app.streaming.permissions import Right, missing_rights
from stream_app.streaming.topics import catalogue_group, consumed_topics

WEEK_MS = 7 * 24 * 60 * 60 * 1000
MOST_SKEW_MS = 1000
"""Clocks that follow NTP differ by milliseconds."""
RESET = "kafka-consumer-groups.sh"


async def group(cluster: Cluster, _: Clock) -> list[Finding]:
    """Whether the group is the workers', and gets on."""
    settings = cluster.settings
    name = settings.app_id
    seen = await read_group(settings, name)
    if seen.protocol not in ("", CONSUMER):
        return [_foreign(cluster, f"the group {name} is one of the protocol {seen.protocol!r}")]
    if seen.state == STABLE and (others := foreign_members(seen, consumed_topics(settings))):
        return [_foreign(cluster, f"members of the group {name} read other topics: {others[0]}")]
    describe = cluster.tool(RESET, f"--describe --group {name}")
    status = await look(settings)
    found = []
    for problem in status.problems:
        if problem.kind == "late" or (problem.kind == "no-worker" and status.lag):
            found.append(
                Finding(
                    check="group",
                    severity="warning",
                    what=problem.what,
                    why=f"{status.lag} records wait; lists do not follow what users do",
                    fix="start workers, or look into the log of the one that has the partition",
                    command=f"{describe} --members --verbose",
                )
            )
        elif problem.kind == "unowned":
            found.append(_foreign(cluster, problem.what))
        elif problem.kind == "lost":
            topic = problem.topic or ""
            kept = int(cluster.configs.get(topic, {}).get("retention.ms", 0))
            longer = max(WEEK_MS, 2 * kept)  # never less than now: that would delete what is kept
            config = cluster.configure(topic, "retention.ms", str(longer))
            found.append(
                Finding(
                    check="group",
                    what=problem.what,
                    why="these events are lost: they are in no row and in no dead letter",
                    fix="keep the topic for longer than workers are ever stopped",
                    command=config,
                )
            )
    return found


def _foreign(cluster: Cluster, what: str) -> Finding:
    name = cluster.settings.app_id
    return Finding(
        check="group",
        what=what,
        why="two applications in one group take partitions from each other, and events from both",
        fix="give one of them another group: for workers that is app_id, which is also the name "
        "of their state",
        command=cluster.tool(RESET, f"--describe --group {name} --members --verbose"),
    )


async def permissions(cluster: Cluster, _: Clock) -> list[Finding]:
    """What a worker may not do."""
    return [_right(cluster, right) for right in await missing_rights(cluster.settings)]


def _right(cluster: Cluster, right: Right) -> Finding:
    settings = cluster.settings
    who = settings.sasl_username or "NAME"
    operation = right.operation.name.capitalize()
    optional = right.name == catalogue_group(settings.app_id)
    return Finding(
        check="permissions",
        severity="warning" if optional else "error",
        what=f"User:{who} may not {operation} the {right.kind} {right.name}",
        why="items with a text get no vector" if optional else "a worker ends when it needs it",
        fix="add the ACL (docs/security.md has all of them)",
        command=cluster.tool(
            "kafka-acls.sh",
            f"--add --allow-principal User:{who} --operation {operation} "
            f"--{right.kind} {right.name}",
        ),
    )


async def clock(cluster: Cluster, clock_ms: Clock) -> list[Finding]:
    """This machine's clock and that of the worker that made the newest list."""
    counts = cluster.layout.counts
    settings = cluster.settings
    names = (*consumed_topics(settings), topic_name(settings.topic_prefix, RECOMMENDATIONS))
    places = [(name, number) for name in names for number in range(counts.get(name, 0))]
    return judge_clock(await read_clock(settings, places, clock_ms))


def judge_clock(reading: ClockReading) -> list[Finding]:
    """Findings of a comparison; raises `NotChecked` when it says nothing of this machine."""
    differs = {
        "this machine's clock is behind the brokers'": reading.behind_ms,
        "this machine's clock is ahead of the brokers'": reading.ahead_ms,
        "the clock of the worker that made the newest list is ahead of the brokers'": (
            reading.worker_ahead_ms
        ),
    }
    found = [
        Finding(
            check="clock",
            what=f"{what} by {ms / 1000:.1f} s or more",
            why="new events look old or are rejected (timestamp_in_future), requests run out of "
            "time, and freshness is measured wrongly",
            fix="let NTP set the clock",
            command="timedatectl set-ntp true",
        )
        for what, ms in differs.items()
        if ms is not None and ms > MOST_SKEW_MS
    ]
    if not found and reading.ahead_ms is None:
        raise NotChecked(
            "only whether this machine is behind: nothing was written while it was looked at"
            if reading.behind_ms is not None
            else "no topic has a record with the broker's time yet"
        )
    return found
