"""Records of the topic `profiles` for the engine."""

from __future__ import annotations

import schemas
from agents.records import Record
from stream_app.recommender import ProfileMessage

NOBODY = b""
"""Key of the records that make Kafka compact a quiet partition; see `streaming.purge`."""
PUSH = "push"
"""Outcome of such a record."""


def is_push(record: Record) -> bool:
    """Whether a record says nothing, and is there for the broker to go on with compaction."""
    return record.key == NOBODY and record.value is None


def profile_message(record: Record) -> ProfileMessage:
    """What is said of a user. Raises `RejectedMessage`."""
    user_id, profile = schemas.decode_profile(record.value, key=record.key)
    place = (record.topic, record.partition, record.offset, record.timestamp_ms)
    return ProfileMessage(user_id, profile, *place)
