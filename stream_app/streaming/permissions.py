"""What a worker may do on the brokers, asked without doing any of it (KIP-430).

A broker answers which operations it would allow on a topic or a group, in the same request that
describes it. aiokafka has only older versions of these requests, so the newer ones are here, in its
own terms (Kafka protocol guide, Metadata v8 and DescribeGroups v3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    IncompatibleBrokerVersion,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.admin import (
    DescribeGroupsRequest_v3,
    DescribeGroupsResponse_v3,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from schemas import (
    CLICKS,
    DEAD_LETTERS,
    DECISIONS,
    ERASURE_RECEIPTS,
    ERASURES,
    EXPERIMENTS,
    IMPRESSIONS,
    ITEM_TRENDS,
    ITEM_VECTORS,
    ITEMS,
    PROFILES,
    PURCHASES,
    RECOMMENDATIONS,
    REQUESTS,
    RULES,
    SCENARIOS,
    topic_name,
)
from stream_app.settings import Settings
from stream_app.streaming.connection import client_options
from stream_app.streaming.topics import (
    admin_client,
    catalogue_group,
    changelog_topic,
    not_for_workers,
)

ANSWER_TIMEOUT_MS = 10_000
NOT_TOLD = -(1 << 31)
"""What stands in place of operations that a broker does not say."""


class Operation(IntEnum):
    """Operations by their bit in an answer."""

    READ = 3
    WRITE = 4


READ, WRITE = Operation.READ, Operation.WRITE


@dataclass(frozen=True, slots=True)
class Right:
    """One line of the ACLs."""

    kind: str
    """`topic` or `group`."""
    name: str
    operation: Operation


def worker_rights(settings: Settings) -> list[Right]:
    """What a worker with these settings needs; docs/security.md lists the same."""
    reads = (
        CLICKS, PURCHASES, IMPRESSIONS, PROFILES, REQUESTS, ERASURES, ITEMS, SCENARIOS, EXPERIMENTS,
        RULES, ITEM_TRENDS, ITEM_VECTORS,
    )  # fmt: skip
    inspector = settings.inspector_port and settings.inspector_writes
    writes = (
        PROFILES, RECOMMENDATIONS, DECISIONS, DEAD_LETTERS, ERASURE_RECEIPTS, ITEM_TRENDS,
        ITEM_VECTORS, *((CLICKS, PURCHASES) if inspector else ()),
    )  # fmt: skip
    unused = not_for_workers(settings)
    changelog = changelog_topic(settings.app_id)
    groups = (settings.app_id, catalogue_group(settings.app_id))
    return [
        Right("topic", topic_name(settings.topic_prefix, topic), operation)
        for operation, topics in ((READ, reads), (WRITE, writes))
        for topic in topics
        if topic not in unused
    ] + [
        Right("topic", changelog, READ),
        Right("topic", changelog, WRITE),
        *(Right("group", group, READ) for group in groups),
    ]


async def missing_rights(settings: Settings) -> list[Right]:
    """What of `worker_rights` the brokers would refuse to whoever these settings log in as.

    Topics that do not exist are left out. Raises `NoBrokerError`, `AccessError`, and
    `IncompatibleBrokerVersion` for brokers older than 2.3, which do not tell.
    """
    wanted = worker_rights(settings)
    async with admin_client(settings) as admin:
        cluster = await admin.describe_cluster()
        addresses = {one["node_id"]: (one["host"], one["port"]) for one in cluster["brokers"]}
        topics = sorted({right.name for right in wanted if right.kind == "topic"})
        allowed = await _topics(settings, next(iter(addresses.values())), topics)
        for group in sorted({right.name for right in wanted if right.kind == "group"}):
            try:
                coordinator = addresses[await admin.find_coordinator(group)]
            except GroupAuthorizationFailedError:
                allowed["group", group] = 0
            except GroupCoordinatorNotAvailableError:
                pass  # the cluster has had no group yet, so that nobody keeps any
            else:
                allowed["group", group] = await _group(settings, coordinator, group)
    return [
        right
        for right in wanted
        if (bits := allowed.get((right.kind, right.name))) is not None
        and not bits >> right.operation & 1
    ]


Allowed = dict[tuple[str, str], int]
"""Bits of the allowed operations by kind and name."""


async def _topics(settings: Settings, address: tuple[str, int], topics: list[str]) -> Allowed:
    answer = await _ask(settings, address, TopicOperations(topics))
    allowed: Allowed = {}
    for code, name, _, _, bits in answer.topics:
        if code == TopicAuthorizationFailedError.errno:
            allowed["topic", name] = 0
        elif not code:
            allowed["topic", name] = _told(bits)
    return allowed


async def _group(settings: Settings, address: tuple[str, int], group: str) -> int:
    answer = await _ask(settings, address, GroupOperations([group]))
    ((code, _, _, _, _, _, bits),) = answer.groups
    return 0 if code == GroupAuthorizationFailedError.errno else _told(bits)


async def _ask(settings: Settings, address: tuple[str, int], request: Any) -> Any:
    options = client_options(settings)
    options.pop("bootstrap_servers")
    connection = AIOKafkaConnection(*address, request_timeout_ms=ANSWER_TIMEOUT_MS, **options)
    await connection.connect()
    try:
        return await connection.send(request)
    finally:
        connection.close()


def _told(bits: int) -> int:
    if bits == NOT_TOLD:
        raise IncompatibleBrokerVersion("the broker does not say what it allows")
    return bits


class _TopicOperationsAnswer(Response):
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(
                ("node_id", Int32),
                ("host", String("utf-8")),
                ("port", Int32),
                ("rack", String("utf-8")),
            ),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _TopicOperations(RequestStruct):
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _TopicOperationsAnswer
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class TopicOperations(Request[_TopicOperations]):
    """Metadata v8 of topics, which creates none of them."""

    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_TopicOperations]) -> _TopicOperations:
        return request_struct_class(self._topics, False, False, True)


class _GroupOperations(DescribeGroupsRequest_v3):
    RESPONSE_TYPE = DescribeGroupsResponse_v3  # aiokafka reads the answer as one of v2


class GroupOperations(Request[_GroupOperations]):
    """DescribeGroups v3."""

    API_KEY = 15

    def __init__(self, groups: list[str]) -> None:
        self._groups = groups

    def build(self, request_struct_class: type[_GroupOperations]) -> _GroupOperations:
        return request_struct_class(self._groups, True)
