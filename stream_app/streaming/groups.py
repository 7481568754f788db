"""Consumer groups as their coordinators describe them: state, members and what each one has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupCoordinatorNotAvailableError, for_code

from stream_app.settings import Settings
from stream_app.streaming.topics import admin_client

STABLE = "Stable"
EMPTY = "Empty"
DEAD = "Dead"
"""What a coordinator says of a group that it does not know as well."""
CONSUMER = "consumer"
"""Protocol of groups that share topics; Kafka Connect and others have names of their own."""

Partition = tuple[str, int]
"""Topic and number."""


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One client that has joined."""

    member_id: str
    client_id: str
    host: str
    """The address that it joined from."""
    partitions: frozenset[Partition]
    """Assigned to it; empty while the group moves."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group at one moment."""

    state: str
    """`Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty` or `Dead`."""
    protocol: str
    """`consumer`; empty for a group that nobody has joined."""
    members: tuple[GroupMember, ...]

    @property
    def owned(self) -> frozenset[Partition]:
        """Partitions that any member has."""
        return frozenset(one for member in self.members for one in member.partitions)


async def describe_group(admin: Any, group: str) -> Group:
    """Ask the coordinator through an admin client. Raises `KafkaError`."""
    (response,) = await admin.describe_consumer_groups([group])
    code, _, state, protocol, _, members, *_ = response.groups[0]
    if code:
        raise for_code(code)()
    return Group(state, protocol, tuple(_member(*member) for member in members))


async def read_group(settings: Settings, group: str) -> Group:
    """The same with a client of its own. Raises `NoBrokerError`, `AccessError` or `UserError`."""
    async with admin_client(settings) as admin:
        try:
            return await describe_group(admin, group)
        except GroupCoordinatorNotAvailableError:
            return Group(DEAD, "", ())  # the cluster has had no group yet


def foreign_members(group: Group, ours: Collection[str]) -> list[str]:
    """Client ids and hosts of members that have partitions, and none of the topics `ours`."""
    return [
        f"{member.client_id} at {member.host}"
        for member in group.members
        if member.partitions and not any(topic in ours for topic, _ in member.partitions)
    ]


def _member(
    member_id: str, client_id: str, host: str, _: bytes, assignment: bytes, *__: Any
) -> GroupMember:
    partitions: frozenset[Partition] = frozenset()
    if assignment:  # there is none before the members have agreed
        decoded = ConsumerProtocolMemberAssignment.decode(assignment).partitions()
        partitions = frozenset((one.topic, one.partition) for one in decoded)
    return GroupMember(member_id, client_id, host.removeprefix("/"), partitions)
