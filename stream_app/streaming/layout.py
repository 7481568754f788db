"""Where the partitions of topics are: brokers, leaders and replicas."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from stream_app.settings import Settings
from stream_app.streaming.topics import admin_client


@dataclass(frozen=True, slots=True)
class Replicas:
    """Of one partition."""

    has_leader: bool
    copies: int
    in_sync: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Of some topics, of those that exist."""

    brokers: int
    topics: dict[str, list[Replicas]]

    @property
    def counts(self) -> dict[str, int]:
        """Partitions by topic."""
        return {name: len(partitions) for name, partitions in self.topics.items()}


async def read_layout(settings: Settings, names: Collection[str]) -> Layout:
    """Ask the brokers. Raises `NoBrokerError`, `AccessError` or `UserError`."""
    async with admin_client(settings) as admin:
        cluster = await admin.describe_cluster()
        wanted = sorted(set(names).intersection(await admin.list_topics()))
        described = await admin.describe_topics(wanted) if wanted else []
    return Layout(
        len(cluster["brokers"]),
        {
            topic["topic"]: [
                Replicas(one["leader"] >= 0, len(one["replicas"]), len(one["isr"]))
                for one in topic["partitions"]
            ]
            for topic in described
        },
    )
