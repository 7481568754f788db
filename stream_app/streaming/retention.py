"""How long the brokers keep what was written, from the settings that the topics really have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas import (
    CLICKS,
    DEAD_LETTERS,
    DECISIONS,
    ERASURES,
    IMPRESSIONS,
    PURCHASES,
    RECOMMENDATIONS,
    REQUESTS,
    Remaining,
    topic_name,
)
from stream_app.settings import Settings
from stream_app.streaming.topics import (
    TopicsError,
    changelog_topic,
    configs,
    impressions_topic,
    profiles_topic,
    source_topics,
)

BROKER_MS = 15 * 60 * 1000
"""A broker looks for what is to be deleted every five minutes, for what is to be compacted more
often, and lets a deleted file lie for a minute."""
PUSH_MS = 60 * 60 * 1000
"""How often a worker appends to a changelog partition from which something has to go."""
SHORTEST_MS = 24 * 60 * 60 * 1000
"""For which events have to be kept: until somebody has seen to workers that do not run."""
_APPENDED = "LogAppendTime"
_NEVER = -1
_MOST_MS = 100 * 365 * 86_400_000
"""Kafka's default for "no limit" is more than any date."""

Configs = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """A setting of a topic that is not as it must be; as text, the sentence that says so."""

    topic: str
    config: str
    """Kafka's name of the setting."""
    wanted: str
    """A value with which the problem is gone."""
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Retention:
    """By topic, after how many ms a record is surely gone; None is never, or not known."""

    deleted: Mapping[str, int | None]
    compacted: Mapping[str, int | None]
    """By compacted topic, the changelog among them: after a removal, until neither what was removed
    nor the tombstone is left."""

    @property
    def pushed_ms(self) -> int | None:
        """How long the compacted topics need somebody to append to them after a removal."""
        lasts = [ms for ms in self.compacted.values() if ms is not None]
        return max(lasts) if len(lasts) == len(self.compacted) else None

    def holdings(self, at_ms: int) -> tuple[Remaining, ...]:
        """What may still hold records of a user erased at a time (Unix ms)."""
        bounds = {**self.deleted, **self.compacted}
        return tuple(
            Remaining(topic, None if lasts is None else at_ms + lasts)
            for topic, lasts in bounds.items()
        )


async def read_configs(settings: Settings) -> Configs:
    """The settings of all topics with records of users. Raises `NoBrokerError`."""
    return await configs(settings, [*holding_topics(settings), *compacted_topics(settings)])


def retention_of(settings: Settings, found: Configs) -> Retention:
    """What follows from the settings of the topics."""
    return Retention(
        {name: deleted_after_ms(found.get(name)) for name in holding_topics(settings)},
        {name: compacted_after_ms(found.get(name)) for name in compacted_topics(settings)},
    )


def holding_topics(settings: Settings) -> list[str]:
    """Topics with records of users that go by their age."""
    topics = (
        CLICKS, PURCHASES, IMPRESSIONS, REQUESTS, RECOMMENDATIONS, DECISIONS, DEAD_LETTERS, ERASURES
    )  # fmt: skip
    return [topic_name(settings.topic_prefix, topic) for topic in topics]


def compacted_topics(settings: Settings) -> list[str]:
    """Topics with records of users that go by compaction, after a tombstone."""
    return [profiles_topic(settings), changelog_topic(settings.app_id)]


def deleted_after_ms(config: Mapping[str, str] | None) -> int | None:
    """How old a record of a topic with the policy "delete" can become.

    A segment goes as a whole, when its newest record is old enough; it may be open for
    `segment.ms` before that.
    """
    if config is None or "delete" not in config["cleanup.policy"]:
        return None
    retention_ms = int(config["retention.ms"])
    if retention_ms == _NEVER:
        return None
    return _bounded(retention_ms + int(config["segment.ms"]) + BROKER_MS)


def compacted_after_ms(config: Mapping[str, str] | None) -> int | None:
    """How long a removed row and its tombstone can stay, if somebody appends every `PUSH_MS`.

    A segment is closed when it is older than the compaction lag, and compacted then: the row is
    gone. The tombstone stays for `delete.retention.ms` from then on, and goes with the compaction
    after that, which takes another closed segment.
    """
    if config is None or config["cleanup.policy"] != "compact":
        return None
    lag_ms = min(int(config["max.compaction.lag.ms"]), int(config["segment.ms"]))
    lag_ms = max(lag_ms, int(config["min.compaction.lag.ms"])) + PUSH_MS + BROKER_MS
    return _bounded(3 * lag_ms + int(config["delete.retention.ms"]))


def unsafe(settings: Settings, found: Configs) -> list[TopicProblem]:
    """Topic settings with which a worker would lose what it must keep."""
    changelog, profiles = changelog_topic(settings.app_id), profiles_topic(settings)
    compacted = {
        changelog: "which deletes the rows of users by their age",
        profiles: "which deletes what users say of themselves by its age",
    }
    others = [topic_name(settings.topic_prefix, topic) for topic in (REQUESTS, ERASURES)]
    hole = "which drops all but the last event of a user, and a worker ends at the hole"
    deleted = dict.fromkeys((*_applied(settings), *others), hole)
    said = []
    for name, loses in (*compacted.items(), *deleted.items()):
        wanted = "compact" if name in compacted else "delete"
        policy = found.get(name, {}).get("cleanup.policy", wanted)
        if policy != wanted if name in compacted else "compact" in policy:
            sentence = f"{name}: cleanup.policy is {policy}, {loses}; set it to {wanted}"
            said.append(TopicProblem(name, "cleanup.policy", wanted, sentence))
    return said


def refuse_unsafe(settings: Settings, found: Configs) -> None:
    """Raise `TopicsError` for the first of `unsafe`."""
    for problem in unsafe(settings, found):
        raise TopicsError(str(problem))


def problems(settings: Settings, found: Configs) -> list[TopicProblem]:
    """What is wrong with topic settings for erasure to hold and for events to outlast a stop."""
    events = _applied(settings)
    requests = topic_name(settings.topic_prefix, ERASURES)
    letters = topic_name(settings.topic_prefix, DEAD_LETTERS)
    said = []
    for name in (*events, requests):
        config = found.get(name, {})
        kind = config.get("message.timestamp.type", _APPENDED)
        if kind != _APPENDED:
            sentence = (
                f"{name}: message.timestamp.type is {kind}: the clocks of producers decide what an "
                f"erasure covers; set it to {_APPENDED}"
            )
            said.append(TopicProblem(name, "message.timestamp.type", _APPENDED, sentence))
    said += [problem for name in events if (problem := _short(name, found.get(name, {})))]
    kept_ms = int(found[requests]["retention.ms"]) if requests in found else _NEVER
    for name in (*events, letters):
        lasts_ms = deleted_after_ms(found.get(name))
        if kept_ms != _NEVER and name in found and (lasts_ms is None or lasts_ms > kept_ms):
            sentence = (
                f"{requests}: retention.ms is {kept_ms}, but {name} may hold older events, which "
                "a worker that reads them again would not know to be erased; raise it"
            )
            wanted = str(_NEVER if lasts_ms is None else lasts_ms)
            said.append(TopicProblem(requests, "retention.ms", wanted, sentence))
    return said


def _short(name: str, config: Mapping[str, str]) -> TopicProblem | None:
    """Events that are gone before a worker could read them are lost."""
    kept_ms = int(config.get("retention.ms", _NEVER))
    if "delete" not in config.get("cleanup.policy", "compact") or not 0 <= kept_ms < SHORTEST_MS:
        return None
    sentence = (
        f"{name}: retention.ms is {kept_ms}, less than a day: events that workers have not read "
        "within that time, because they are stopped, are lost; raise it"
    )
    return TopicProblem(name, "retention.ms", str(CLICKS.retention_ms), sentence)


def _applied(settings: Settings) -> list[str]:
    """Topics whose records are applied to rows."""
    impressions = impressions_topic(settings)
    return [*source_topics(settings), *([impressions] if impressions else [])]


def _bounded(lasts_ms: int) -> int | None:
    return lasts_ms if lasts_ms < _MOST_MS else None
