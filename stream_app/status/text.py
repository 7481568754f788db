"""A look at an installation as text for a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from stream_app.status.report import PartitionLag, Status

MOST = 4
"""Partitions of a topic that are shown with their offsets: those that are furthest behind."""


def as_text(status: Status) -> str:
    """Several paragraphs: the verdict comes first, so that nobody has to scroll to it."""
    time = datetime.fromtimestamp(status.at_ms / 1000, UTC).isoformat(timespec="seconds")
    many = len(status.problems)
    verdict = "all is well" if status.well else f"{many} problem{'s' if many > 1 else ''}"
    return "\n".join(
        [
            f"{verdict}   {status.group.group_id} on {status.bootstrap_servers}, {time}",
            *(f"  problem: {problem.what}" for problem in status.problems),
            *(f"  note: {note}" for note in status.notes),
            *_group(status),
            *_lag(status),
            *_flow(status),
            *_workers(status),
        ]
    )


def _group(status: Status) -> list[str]:
    group = status.group
    lines = [f"group      {group.state}, {len(group.members)} members"]
    for member in group.members:
        release = member.release or "no list of its partitions yet"
        name = f"{member.client_id} ({member.member_id[-6:]}) at {member.host}"
        lines.append(f"  {name}: {_grouped(member.partitions)}; {release}")
    return lines


def _grouped(partitions: list[str]) -> str:
    """`clicks/0`, `clicks/1`, `purchases/0` as numbers, as all topics are assigned alike."""
    if not partitions:
        return "spare, no partitions"
    numbers = sorted({int(one.rpartition("/")[2]) for one in partitions})
    return f"partitions {', '.join(map(str, numbers))}"


def _lag(status: Status) -> list[str]:
    waits = max(
        (one.waiting_s for one in status.partitions if one.waiting_s is not None), default=None
    )
    since = "" if waits is None else f", the oldest waits for {waits:.1f} s"
    lines = [f"lag        {status.lag} records{since}"]
    width = max((len(one.topic) for one in status.partitions), default=0)
    for topic in sorted({one.topic for one in status.partitions}):
        parts = [one for one in status.partitions if one.topic == topic]
        committed = sum(one.committed is not None for one in parts)
        lines.append(
            f"  {topic:{width}}  {sum(one.lag for one in parts):9,} behind   "
            f"commits in {committed} of {len(parts)} partitions{_behind(parts)}"
        )
    return lines


def _behind(parts: list[PartitionLag]) -> str:
    worst = sorted((one for one in parts if one.lag), key=lambda one: -one.lag)
    shown = [f"{one.partition}: {one.committed or 0} of {one.end}" for one in worst[:MOST]]
    shown += [f"and {len(worst) - MOST} more"] if len(worst) > MOST else []
    return f" ({', '.join(shown)})" if shown else ""


def _flow(status: Status) -> list[str]:
    fresh = status.freshness
    measured = "none could be measured: no list answers an event that Kafka still has"
    if fresh is not None:
        measured = (
            f"event to list p50 {fresh.p50_ms:.0f} ms, p99 {fresh.p99_ms:.0f} ms, at most "
            f"{fresh.max_ms:.0f} ms (the newest {fresh.lists} lists, the last "
            f"{_ago(fresh.newest_age_s)})"
        )
    letters = ", ".join(f"{count} {reason}" for reason, count in status.dead_letters.items())
    return [
        f"freshness  {measured}",
        f"flow       {status.events_per_s:.1f} events/s and {status.lists_per_s:.1f} lists/s "
        "in the last minute",
        f"rejected   {letters or 'nothing'} in the last hour; {status.dead_letters_on_topic} on "
        "the topic",
    ]


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.1f} s ago"


def _workers(status: Status) -> list[str]:
    return [
        f"worker     {one.address}: {'ready' if one.ready else 'not ready'}, {one.state}"
        + (f"; {one.release}" if one.release else "")
        + (f"; {one.users} users" if one.users is not None else "")
        for one in status.workers
    ]
