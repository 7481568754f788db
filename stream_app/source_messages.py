"""Decoded events with their places on Kafka, and what follows from a place."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from schemas.messages import Click, Impression, Purchase, Trigger
from schemas.profiles import Profile
from stream_app.answers import Asked
from stream_app.users.actions import PURCHASE, action_code
from stream_app.users.ids import item_hash, list_id
from stream_app.users.profile import ProfileChange
from stream_app.users.shown import SourceImpression
from stream_app.users.state import SourceEvent

# The largest weight that a packed event holds.
_MAX_WEIGHT = 255


class SourceMessage(NamedTuple):
    """A decoded event and where it was read."""

    message: Click | Purchase
    topic: str
    partition: int
    offset: int


class ProfileMessage(NamedTuple):
    """A decoded profile and where it was read."""

    user_id: str
    profile: Profile | None
    """None withdraws it."""
    topic: str
    partition: int
    offset: int
    appended_ms: int
    """When Kafka appended it, Unix ms."""


def profile_change(source: ProfileMessage) -> ProfileChange:
    """What the row takes of it."""
    name = _source_name(source.topic, source.partition)
    return ProfileChange(source.profile, name, source.offset)


class ShownMessage(NamedTuple):
    """A decoded impression and where it was read."""

    message: Impression
    topic: str
    partition: int
    offset: int


def source_impression(source: ShownMessage) -> SourceImpression:
    return SourceImpression(
        tuple(map(item_hash, source.message.item_ids)),
        source.message.timestamp_ms,
        _source_name(source.topic, source.partition),
        source.offset,
    )


def source_event(source: SourceMessage) -> SourceEvent:
    message = source.message
    if isinstance(message, Purchase):
        action, weight = PURCHASE, min(message.quantity, _MAX_WEIGHT)
    else:
        action, weight = action_code(message.action), 1
    return SourceEvent(
        item_hash(message.item_id),
        message.timestamp_ms,
        action,
        weight,
        _source_name(source.topic, source.partition),
        source.offset,
        message.event_id,
    )


@lru_cache(maxsize=1024)
def _source_name(topic: str, partition: int) -> str:
    return f"{topic}/{partition}"


def trigger(source: SourceMessage | ProfileMessage) -> Trigger:
    if isinstance(source, ProfileMessage):
        return Trigger(
            topic=source.topic,
            partition=source.partition,
            offset=source.offset,
            timestamp_ms=source.appended_ms,
        )
    message = source.message
    return Trigger(
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        timestamp_ms=message.timestamp_ms,
        event_id=message.event_id,
    )


def rec_id(user_id: str, source: SourceMessage | ProfileMessage | Asked) -> str:
    """The same input gives the same id, so a list that is made again replaces the first."""
    return list_id(user_id, source.topic, source.partition, source.offset)
