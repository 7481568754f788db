"""Creates and checks the topics; a worker does not start without them.

Stock Faust says "ready" and consumes nothing when a source topic is missing, and writes user rows
to the wrong partition when partition counts differ. Both are refused here, with what to do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaConnectionError,
    NodeNotReadyError,
    NotControllerError,
    StaleMetadata,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.partitioner import murmur2

from schemas import (
    CLICKS,
    DEAD_LETTERS,
    DECISIONS,
    ERASURE_RECEIPTS,
    ERASURES,
    IMPRESSIONS,
    ITEM_TRENDS,
    PROFILES,
    PURCHASES,
    RECOMMENDATIONS,
    REQUESTS,
    TOPICS,
    Click,
    Purchase,
    Topic,
    topic_name,
)
from stream_app.errors import UserError
from stream_app.filter_names import SHOWN, remembers
from stream_app.settings import Settings
from stream_app.streaming.connection import client_options
from stream_app.streaming.refusals import connected, in_words

COMPACTION_LAG_MS = 10 * 60 * 1000
"""A row written late by an owner that had lost its partition must not be the only one left. The
present owner writes the valid row again at its next write: minutes are a wide margin."""
COMPACTION_DUE_MS = 24 * 60 * 60 * 1000
"""After this a superseded row is compacted away, so that what an erasure removed is gone."""
TOMBSTONES_MS = 24 * 60 * 60 * 1000
"""How long a removal stays readable: longer than any copy of the rows is trusted (`rocksdb`)."""
SEGMENT_BYTES = 64 * 1024 * 1024
"""The open segment is never compacted; a recovery has to read all of it."""

VISIBLE_S = 10
"""A broker lists a new topic within milliseconds."""
CONTROLLER_S = 20
"""A broker that has just started, or was paused, is in its own list of brokers within seconds."""
UNSETTLED = (KafkaConnectionError, NodeNotReadyError, StaleMetadata)
"""What a client says that has connected, and then knows no broker that it could ask."""

USER_TOPICS = (
    CLICKS,
    PURCHASES,
    IMPRESSIONS,
    PROFILES,
    REQUESTS,
    ERASURES,
    RECOMMENDATIONS,
    DECISIONS,
    DEAD_LETTERS,
    ERASURE_RECEIPTS,
    ITEM_TRENDS,
)
"""Topics that share the partitions of the user rows: an output goes to its event's partition, and
what was counted of a partition into the one with its number."""


class TopicsError(UserError):
    """The topics are not as a worker needs them."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be."""

    name: str
    partitions: int
    configs: dict[str, str] = field(default_factory=dict)


def specs(settings: Settings, partitions: int) -> list[TopicSpec]:
    """All topics of an installation: the published ones and the state."""
    published = [
        TopicSpec(topic_name(settings.topic_prefix, topic), partitions, topic.config())
        for topic in TOPICS
    ]
    return [*published, TopicSpec(changelog_topic(settings.app_id), partitions, changelog_config())]


def partitioner(partitions: int) -> Callable[[bytes], int]:
    """Partition of a key as Kafka's Java client and aiokafka choose it (murmur2)."""
    return lambda key: (murmur2(key) & 0x7FFFFFFF) % partitions


def catalogue_group(app_id: str) -> str:
    """Consumer group that shares the partitions of `items`, for their texts to be read."""
    return f"{app_id}-catalogue"


def changelog_topic(app_id: str) -> str:
    """Name of the topic that holds the user rows."""
    return f"{app_id}-users-changelog"


def changelog_config() -> dict[str, str]:
    """Topic settings of the changelog: the last row of every user, and nothing else for long."""
    return {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(COMPACTION_LAG_MS),
        "max.compaction.lag.ms": str(COMPACTION_DUE_MS),
        "delete.retention.ms": str(TOMBSTONES_MS),
        "segment.bytes": str(SEGMENT_BYTES),
        # With the default of a half, a recovery reads up to twice the rows; this costs little I/O.
        "min.cleanable.dirty.ratio": "0.2",
        "message.timestamp.type": "LogAppendTime",
    }


async def create(settings: Settings, partitions: int, replication: int) -> dict[str, str]:
    """Create what is missing; returns `created` or `exists` by topic name.

    Raises `TopicsError` when the broker refuses a topic, `NoBrokerError` when none answers,
    `AccessError` when one does not let us in.
    """
    outcome: dict[str, str] = {}
    deadline = time.monotonic() + CONTROLLER_S
    while True:
        try:
            async with admin_client(settings) as admin:
                await create_missing(admin, specs(settings, partitions), replication, outcome)
                await _wait_until_visible(admin, outcome)
                return outcome
        except NoControllerError:
            # Asked again through a new client: one that knows no broker of a cluster asks none.
            if time.monotonic() > deadline:
                raise TopicsError(
                    f"the cluster answers, but has had no controller for {CONTROLLER_S} s, so that "
                    "no topic can be created; look into the brokers' logs"
                ) from None
        await asyncio.sleep(0.1)


class NoControllerError(Exception):
    """A cluster that has just come back answers before it has a controller to make topics."""


async def create_missing(
    admin: Any, wanted: Iterable[TopicSpec], replication: int, outcome: dict[str, str]
) -> None:
    """Create what is not in `outcome` yet, and put in there what became of it.

    Raises `TopicsError` and `NoControllerError`.
    """
    try:
        cluster = await admin.describe_cluster()
    except UNSETTLED:
        raise NoControllerError from None
    if cluster["controller_id"] not in {broker["node_id"] for broker in cluster["brokers"]}:
        raise NoControllerError
    for spec in wanted:
        if spec.name in outcome:
            continue
        topic = NewTopic(spec.name, spec.partitions, replication, topic_configs=spec.configs)
        try:
            response = await admin.create_topics([topic])
        except AttributeError:  # the client takes the number of a controller that it does not know
            raise NoControllerError from None
        _, code, *detail = response.topic_errors[0]
        error = for_code(code)
        if error is NotControllerError:
            raise NoControllerError
        if code and error is not TopicAlreadyExistsError:
            raise TopicsError(f"topic {spec.name}: {error.__name__}: {detail[0] if detail else ''}")
        outcome[spec.name] = "exists" if code else "created"


async def _wait_until_visible(admin: Any, names: Collection[str]) -> None:
    """A broker says "created" before its own list of topics has them."""
    deadline = time.monotonic() + VISIBLE_S
    while missing := set(names) - set(await admin.list_topics()):
        if time.monotonic() > deadline:
            raise TopicsError(
                f"created, but not listed after {VISIBLE_S} s: {', '.join(sorted(missing))}"
            )
        await asyncio.sleep(0.02)


async def describe(settings: Settings) -> dict[str, int]:
    """Partition counts of the topics that exist, by name. Raises like `create`."""
    names = [spec.name for spec in specs(settings, 1)]
    return await partition_counts(settings, names)


async def partition_counts(settings: Settings, names: Iterable[str]) -> dict[str, int]:
    """Partitions of those of the named topics that exist. Asks again and raises like `create`."""
    named, deadline = set(names), time.monotonic() + CONTROLLER_S
    while True:
        async with admin_client(settings) as admin:
            try:
                wanted = sorted(named.intersection(await admin.list_topics()))
                described = await admin.describe_topics(wanted) if wanted else []
                return {topic["topic"]: len(topic["partitions"]) for topic in described}
            except UNSETTLED:
                if time.monotonic() > deadline:
                    raise
        await asyncio.sleep(0.1)


async def check(settings: Settings, *, without: Collection[Topic] = ()) -> int:
    """As `checked`, of the topics as they are now. Raises like `create` as well."""
    return checked(settings, await describe(settings), without=without)


def checked(
    settings: Settings, counts: Mapping[str, int], *, without: Collection[Topic] = ()
) -> int:
    """Partition count of the user topics, when everything but the topics `without` is there.

    `counts` are those of `describe`. Raises `TopicsError` naming every missing topic or unequal
    count.
    """
    if missing := missing_names(settings, counts, without=without):
        raise missing_topics(settings, missing)
    user_topics = user_counts(settings, counts, without=without)
    if len(set(user_topics.values())) != 1:
        listed = ", ".join(f"{name} has {count}" for name, count in user_topics.items())
        raise TopicsError(f"topics keyed by user must have one number of partitions, but {listed}")
    return next(iter(user_topics.values()))


def missing_names(
    settings: Settings, counts: Mapping[str, int], *, without: Collection[Topic] = ()
) -> list[str]:
    """Topics that are not there, those `without` left out."""
    passed_over = {topic_name(settings.topic_prefix, topic) for topic in without}
    wanted = {spec.name for spec in specs(settings, 1)} - passed_over
    return sorted(wanted - counts.keys())


def user_counts(
    settings: Settings, counts: Mapping[str, int], *, without: Collection[Topic] = ()
) -> dict[str, int]:
    """Partitions of the topics keyed by user, of those that are there; all must have the same."""
    named = {
        topic_name(settings.topic_prefix, topic) for topic in USER_TOPICS if topic not in without
    }
    keyed = (*sorted(named), changelog_topic(settings.app_id))
    return {name: counts[name] for name in keyed if name in counts}


def missing_topics(settings: Settings, names: Iterable[str]) -> TopicsError:
    """The error for topics that the brokers do not show, which they also do without an ACL."""
    unless = ", or let this user describe them" if settings.security_protocol != "PLAINTEXT" else ""
    return TopicsError(
        f"topics are missing: {', '.join(names)}; make them with `stream-app topics create`{unless}"
    )


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[Any]:
    """A connected admin client. Raises `NoBrokerError` or `AccessError`, also from the block."""
    admin = AIOKafkaAdminClient(request_timeout_ms=10_000, **client_options(settings))
    async with connected(admin, settings), in_words(settings):
        yield admin


async def configs(settings: Settings, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Topic settings as the broker has them, defaults included; without topics that it refuses.

    Raises `NoBrokerError`.
    """
    async with admin_client(settings) as admin:
        wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        answers = await admin.describe_configs(wanted)
        return {
            name: {config: value for config, value, *_ in entries}
            for answer in answers
            for code, _, _, name, entries in answer.resources
            if not code
        }


def impressions_topic(settings: Settings) -> str | None:
    """The topic of impressions, where workers read it: for the filter `shown`."""
    wanted = remembers(settings.filter_names, SHOWN)
    return topic_name(settings.topic_prefix, IMPRESSIONS) if wanted else None


def not_for_workers(settings: Settings) -> tuple[Topic, ...]:
    """Topics that a worker with these settings neither reads nor writes, and needs no right to."""
    unread = (IMPRESSIONS,) if impressions_topic(settings) is None else ()
    return unread if settings.decisions else (*unread, DECISIONS)


def consumed_topics(settings: Settings) -> tuple[str, ...]:
    """Names of the topics that the workers' group shares and commits."""
    impressions = impressions_topic(settings)
    return (
        *source_topics(settings),
        profiles_topic(settings),
        *([impressions] if impressions else []),
        topic_name(settings.topic_prefix, REQUESTS),
        topic_name(settings.topic_prefix, ERASURES),
    )


def source_topics(settings: Settings) -> dict[str, type[Click] | type[Purchase]]:
    """What the topics of events carry, by their name on the broker."""
    return {
        topic_name(settings.topic_prefix, CLICKS): Click,
        topic_name(settings.topic_prefix, PURCHASES): Purchase,
    }


def profiles_topic(settings: Settings) -> str:
    """Name of the topic of profiles: a source as those of events are, but compacted."""
    return topic_name(settings.topic_prefix, PROFILES)
