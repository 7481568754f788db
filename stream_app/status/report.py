"""What a look at an installation found; the fields are those that `status --json` prints."""

from __future__ import annotations

import msgspec


class MemberStatus(msgspec.Struct):
    """One worker, as the group knows it."""

    member_id: str
    client_id: str
    host: str
    partitions: list[str]
    """`topic/number`, in order; empty for a spare worker."""
    release: str | None = None
    """Of the newest list in its partitions, `name@version on backend`; None where there is none."""


class GroupStatus(msgspec.Struct):
    """The consumer group of the workers."""

    group_id: str
    state: str
    """Kafka's word; `Dead` for a group that does not exist."""
    members: list[MemberStatus]
    unowned: list[str]
    """Partitions that no member has."""


class PartitionLag(msgspec.Struct):
    """Where the workers are in one partition."""

    topic: str
    partition: int
    committed: int | None
    """Next offset to process; None when nothing was committed yet."""
    begin: int
    """Offset of the oldest record that Kafka still has."""
    end: int
    lag: int
    """Records that are not committed."""
    waiting_s: float | None = None
    """Since when the oldest of them waits, by the broker's time of its append."""
    lost: int = 0
    """Records that retention has deleted before they were committed."""


class Freshness(msgspec.Struct):
    """From the append of an event to the append of the list that answers it; broker's times."""

    lists: int
    """How many of the newest lists this is about."""
    newest_age_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float


class WorkerAnswer(msgspec.Struct):
    """What a worker says of itself at its metrics port."""

    address: str
    ready: bool
    state: str
    """In its own words, or why there is no answer."""
    release: str | None = None
    users: int | None = None


class Problem(msgspec.Struct):
    """Why not all is well."""

    kind: str
    """`topics-missing`, `no-worker`, `rebalancing`, `unowned`, `late`, `lost` or `not-ready`."""
    what: str
    """In a sentence, with what to do."""
    topic: str | None = None
    """That it is about, where it is about one."""


class Status(msgspec.Struct):
    """One look."""

    at_ms: int
    bootstrap_servers: str
    group: GroupStatus
    lag: int
    """Of all partitions together."""
    partitions: list[PartitionLag]
    lists: int
    """On the topic now."""
    freshness: Freshness | None
    """None when no list answers an event that Kafka still has."""
    events_per_s: float
    """Of clicks and purchases, over the last minute."""
    lists_per_s: float
    dead_letters: dict[str, int]
    """Of the last hour, by reason."""
    dead_letters_on_topic: int
    workers: list[WorkerAnswer]
    """Of `--metrics`."""
    missing_topics: list[str]
    problems: list[Problem] = []
    notes: list[str] = []
    """What is worth knowing and is no problem."""

    @property
    def well(self) -> bool:
        """Whether nothing has to be done."""
        return not self.problems
