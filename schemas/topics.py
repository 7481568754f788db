"""The topics: what each carries, under which key, for how long, and who writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from schemas.decisions import Decision
from schemas.experiments import ExperimentSpec
from schemas.items import Item, ItemTrend, ItemVector
from schemas.messages import (
    Click,
    DeadLetter,
    ErasureReceipt,
    ErasureRequest,
    Impression,
    Purchase,
    Recommendation,
    RecommendationRequest,
)
from schemas.profiles import Profile
from schemas.rules import Rule
from schemas.serving import Scenario

DEFAULT_PARTITIONS = 4
"""Enough for four workers. All topics keyed by user need the same count (co-partitioning)."""

_DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class Topic:
    """One topic; `name` is without the deployment's prefix (see `topic_name`)."""

    name: str
    value: type[msgspec.Struct]
    key: str
    """What the record key is; keys are UTF-8."""
    written_by: Literal["producers", "stream-app"]
    cleanup_policy: Literal["delete", "compact"]
    retention_ms: int | None
    """How long records stay; None = for ever."""
    message_timestamp_type: Literal["CreateTime", "LogAppendTime"]
    """Source topics take the append time: the latency from feedback to recommendation starts
    there, and replaying old events does not expire them at once."""
    description: str
    tombstones_ms: int | None = None
    """How long a compacted topic still shows that a key was removed."""
    segment_bytes: int | None = None
    """Size at which a file of a partition is closed; None = the broker's."""
    compacted_by_ms: int | None = None
    """When what was replaced or removed is compacted away at the latest."""

    def config(self) -> dict[str, str]:
        """Topic settings in Kafka's names, as `CreateTopics` takes them."""
        config = {
            "cleanup.policy": self.cleanup_policy,
            "message.timestamp.type": self.message_timestamp_type,
            "retention.ms": str(-1 if self.retention_ms is None else self.retention_ms),
        }
        if self.tombstones_ms is not None:
            config["delete.retention.ms"] = str(self.tombstones_ms)
        if self.segment_bytes is not None:
            config["segment.bytes"] = str(self.segment_bytes)
        if self.compacted_by_ms is not None:
            config["max.compaction.lag.ms"] = str(self.compacted_by_ms)
        return config


CLICKS = Topic(
    name="clicks",
    value=Click,
    key="user_id",
    written_by="producers",
    cleanup_policy="delete",
    retention_ms=7 * _DAY_MS,
    message_timestamp_type="LogAppendTime",
    description="What users do with items, short of buying them.",
)
PURCHASES = Topic(
    name="purchases",
    value=Purchase,
    key="user_id",
    written_by="producers",
    cleanup_policy="delete",
    retention_ms=7 * _DAY_MS,
    message_timestamp_type="LogAppendTime",
    description="What users buy.",
)
IMPRESSIONS = Topic(
    name="impressions",
    value=Impression,
    key="user_id",
    written_by="producers",
    cleanup_policy="delete",
    retention_ms=7 * _DAY_MS,
    message_timestamp_type="LogAppendTime",
    description="What of a list was shown: with clicks and purchases it tells how good lists are.",
)
PROFILES = Topic(
    name="profiles",
    value=Profile,
    key="user_id",
    written_by="producers",
    cleanup_policy="compact",
    retention_ms=None,
    message_timestamp_type="LogAppendTime",
    tombstones_ms=_DAY_MS,
    compacted_by_ms=_DAY_MS,  # so that an erasure is done within days
    description="What users say of themselves; a null value withdraws it.",
)
REQUESTS = Topic(
    name="recommendation-requests",
    value=RecommendationRequest,
    key="user_id",
    written_by="producers",
    cleanup_policy="delete",
    retention_ms=_DAY_MS // 24,  # who asked has given up long before
    message_timestamp_type="LogAppendTime",
    description="Lists that services ask for, with the number of items and what to leave out.",
)
RECOMMENDATIONS = Topic(
    name="recommendations",
    value=Recommendation,
    key="user_id",
    written_by="stream-app",
    cleanup_policy="delete",
    retention_ms=1 * _DAY_MS,  # a list lives until the user's next event
    message_timestamp_type="LogAppendTime",
    description="The fresh ranked list of a user, after every event of theirs.",
)
DECISIONS = Topic(
    name="decisions",
    value=Decision,
    key="user_id",
    written_by="stream-app",
    cleanup_policy="delete",
    retention_ms=7 * _DAY_MS,  # as long as the events that led to it
    message_timestamp_type="LogAppendTime",
    description="Internal: what lists were made from, for as many as the workers' setting says.",
)
DEAD_LETTERS = Topic(
    name="dead-letters",
    value=DeadLetter,
    key="the original key",
    written_by="stream-app",
    cleanup_policy="delete",
    retention_ms=30 * _DAY_MS,  # time to notice, fix the producer and replay
    message_timestamp_type="LogAppendTime",
    description="Messages that could not be applied, with the reason and the original record.",
)

ERASURES = Topic(
    name="erasures",
    value=ErasureRequest,
    key="user_id",
    written_by="producers",
    cleanup_policy="delete",
    # As long as an event from before the request may still be read, or replayed from the dead
    # letters: Kafka deletes whole segments, which can be seven days after the retention.
    retention_ms=45 * _DAY_MS,
    message_timestamp_type="LogAppendTime",
    description="Users whose data shall be removed. Whoever can write here can erase anybody.",
)
ERASURE_RECEIPTS = Topic(
    name="erasure-receipts",
    value=ErasureReceipt,
    key="the request_id, if any",
    written_by="stream-app",
    cleanup_policy="delete",
    retention_ms=365 * _DAY_MS,  # evidence; it names no user
    message_timestamp_type="LogAppendTime",
    description="What was removed for every erasure, and what Kafka still holds until when.",
)

ITEMS = Topic(
    name="items",
    value=Item,
    key="item_id",
    written_by="producers",
    cleanup_policy="compact",
    retention_ms=None,
    message_timestamp_type="LogAppendTime",
    # A worker that starts must still learn that an item of its release was delisted: longer than
    # a release serves.
    tombstones_ms=365 * _DAY_MS,
    description="What can be recommended, and what is said of it; a null value delists an item.",
)
ITEM_VECTORS = Topic(
    name="item-vectors",
    value=ItemVector,
    key="item_id",
    written_by="stream-app",
    cleanup_policy="compact",
    retention_ms=None,
    message_timestamp_type="LogAppendTime",
    description="Internal: what the text encoder made of each item, so that it is read once.",
)

ITEM_TRENDS = Topic(
    name="item-trends",
    value=ItemTrend,
    key="item_id",
    written_by="stream-app",
    cleanup_policy="compact",
    retention_ms=None,
    message_timestamp_type="LogAppendTime",
    # Counts are written again and again, and the open segment is never compacted: a worker that
    # starts reads all of it.
    segment_bytes=16 * 1024 * 1024,
    description="Internal: how often events fell on items, counted by partition.",
)

SCENARIOS = Topic(
    name="scenarios",
    value=Scenario,
    key="name",
    written_by="producers",
    cleanup_policy="compact",
    retention_ms=None,
    message_timestamp_type="LogAppendTime",
    description="How lists are made, by name; a null value withdraws a scenario.",
)
EXPERIMENTS = Topic(
    name="experiments",
    value=ExperimentSpec,
    key="name",
    written_by="producers",
    cleanup_policy="compact",
    retention_ms=None,
    message_timestamp_type="LogAppendTime",
    description="Experiments, and the share of users in each arm; a null value removes one.",
)

RULES = Topic(
    name="rules",
    value=Rule,
    key="rule_id",
    written_by="producers",
    cleanup_policy="compact",
    retention_ms=None,
    message_timestamp_type="LogAppendTime",
    description="What to pin, boost, bury, exclude or limit in lists; a null value withdraws.",
)

TOPICS: tuple[Topic, ...] = (
    CLICKS,
    PURCHASES,
    IMPRESSIONS,
    PROFILES,
    REQUESTS,
    RECOMMENDATIONS,
    DECISIONS,
    DEAD_LETTERS,
    ERASURES,
    ERASURE_RECEIPTS,
    ITEMS,
    ITEM_VECTORS,
    ITEM_TRENDS,
    SCENARIOS,
    EXPERIMENTS,
    RULES,
)


def topic_name(prefix: str, topic: Topic) -> str:
    """Name of the topic on the broker: `prefix` (may be empty) in front of its own name."""
    return prefix + topic.name
