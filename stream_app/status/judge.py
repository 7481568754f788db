"""Which of what was seen is a problem, and what to do about it."""

from __future__ import annotations

from stream_app.status.report import Problem, Status
from stream_app.streaming.groups import DEAD, EMPTY, STABLE


def judge(status: Status, late_s: float) -> None:
    """Fill in the problems and notes; an event that waits for longer than `late_s` is late."""
    status.problems = [*_topics(status), *_group(status), *_offsets(status, late_s)]
    status.problems += [
        Problem("not-ready", f"the worker at {one.address} is not ready: {one.state}")
        for one in status.workers
        if not one.ready
    ]
    status.notes = _notes(status)


def _topics(status: Status) -> list[Problem]:
    if not status.missing_topics:
        return []
    names = ", ".join(status.missing_topics)
    what = f"topics are missing: {names}; make them with `stream-app topics create`"
    return [Problem("topics-missing", what)]


def _group(status: Status) -> list[Problem]:
    group = status.group
    if group.state in (DEAD, EMPTY):
        been = "no worker has joined" if group.state == DEAD else "every worker has left"
        what = f"{been} the group {group.group_id}: start `stream-app worker`"
        if group.state == DEAD:
            what += ", or name the right --app-id"
        return [Problem("no-worker", what)]
    if group.state != STABLE:
        what = f"the group {group.group_id} is moving partitions ({group.state}); look again soon"
        return [Problem("rebalancing", what)]
    if group.unowned:
        what = (
            f"no worker has {', '.join(group.unowned)}: workers with other settings, or of another "
            "application, are in the group"
        )
        return [Problem("unowned", what)]
    return []


def _offsets(status: Status, late_s: float) -> list[Problem]:
    waiting = [one for one in status.partitions if one.waiting_s is not None]
    late = [one for one in waiting if (one.waiting_s or 0) > late_s]
    said = []
    if late:
        worst = max(late, key=lambda one: one.waiting_s or 0)
        what = (
            f"{worst.topic}/{worst.partition}: a record has waited for {worst.waiting_s:.0f} s "
            f"({len(late)} partitions have records that wait for more than {late_s:g} s): are "
            "there enough workers, and do they commit?"
        )
        said.append(Problem("late", what, worst.topic))
    for one in status.partitions:
        if one.lost:
            what = (
                f"{one.topic}/{one.partition}: {one.lost} records were deleted before a worker had "
                "read them"
            )
            said.append(Problem("lost", what, one.topic))
    return said


def _notes(status: Status) -> list[str]:
    notes = []
    if status.lists == 0 and not status.missing_topics:
        notes.append("no list has been made yet")
    releases = {member.release for member in status.group.members if member.release}
    if len(releases) > 1:
        notes.append(f"workers serve {len(releases)} releases: {', '.join(sorted(releases))}")
    if status.group.state == STABLE and any(not one.partitions for one in status.group.members):
        notes.append("there are more workers than partitions: some are spare")
    if count := sum(status.dead_letters.values()):
        notes.append(
            f"{count} messages were rejected in the last hour: `stream-app dead-letters list`"
        )
    return notes
