"""What receipts say about the topics follows from the topics' own settings."""

from __future__ import annotations

import pytest

from schemas import TOPICS, topic_name
from stream_app.settings import Settings
from stream_app.streaming.retention import (
    BROKER_MS,
    PUSH_MS,
    compacted_after_ms,
    deleted_after_ms,
    holding_topics,
    problems,
    refuse_unsafe,
    retention_of,
)
from stream_app.streaming.topics import TopicsError, changelog_config, changelog_topic

DAY_MS = 86_400_000
SEGMENT_MS = 7 * DAY_MS
SETTINGS = Settings(topic_prefix="shop.", app_id="app")

Configs = dict[str, dict[str, str]]


def as_created() -> Configs:
    """What a broker answers about topics that `stream-app topics create` has made."""
    made = {
        topic_name("shop.", topic): {
            "segment.ms": str(SEGMENT_MS),
            "min.compaction.lag.ms": "0",
            **topic.config(),
        }
        for topic in TOPICS
    }
    made[changelog_topic("app")] = {"segment.ms": str(SEGMENT_MS), **changelog_config()}
    return made


def test_the_topics_as_they_are_created_have_no_problem() -> None:
    assert problems(SETTINGS, as_created()) == []


def test_a_receipt_names_every_topic_with_records_of_users() -> None:
    held = {left.topic: left.until_ms for left in retention_of(SETTINGS, as_created()).holdings(5)}
    assert held.keys() == {*holding_topics(SETTINGS), "shop.profiles", "app-users-changelog"}
    assert held["shop.clicks"] == 5 + 7 * DAY_MS + SEGMENT_MS + BROKER_MS
    lag_ms = DAY_MS + PUSH_MS + BROKER_MS
    assert held["app-users-changelog"] == 5 + 3 * lag_ms + DAY_MS
    assert held["shop.profiles"] == held["app-users-changelog"]


def test_what_the_broker_does_not_tell_has_no_known_end() -> None:
    assert {left.until_ms for left in retention_of(SETTINGS, {}).holdings(5)} == {None}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, None),
        ({"cleanup.policy": "delete", "retention.ms": "-1", "segment.ms": "5"}, None),
        ({"cleanup.policy": "compact", "retention.ms": "1", "segment.ms": "5"}, None),
        (
            {"cleanup.policy": "compact,delete", "retention.ms": "1", "segment.ms": "5"},
            6 + BROKER_MS,
        ),
        ({"cleanup.policy": "delete", "retention.ms": "1", "segment.ms": str(2**63 - 1)}, None),
    ],
)
def test_how_old_a_record_can_become(config: dict[str, str] | None, expected: int | None) -> None:
    assert deleted_after_ms(config) == expected


def test_a_changelog_without_a_lag_is_compacted_by_its_segments() -> None:
    config = {**changelog_config(), "segment.ms": "1000", "max.compaction.lag.ms": str(2**63 - 1)}
    lag_ms = int(config["min.compaction.lag.ms"]) + PUSH_MS + BROKER_MS
    assert compacted_after_ms(config) == 3 * lag_ms + DAY_MS
    assert compacted_after_ms({**config, "cleanup.policy": "compact,delete"}) is None


@pytest.mark.parametrize(
    ("topic", "changes", "said"),
    [
        (
            "shop.clicks",
            {"message.timestamp.type": "CreateTime"},
            ["shop.clicks: message.timestamp"],
        ),
        ("shop.erasures", {"message.timestamp.type": "CreateTime"}, ["shop.erasures: message."]),
        ("shop.purchases", {"retention.ms": str(60 * DAY_MS)}, ["shop.purchases may hold older"]),
        ("shop.dead-letters", {"retention.ms": "-1"}, ["shop.dead-letters may hold older"]),
        (
            "shop.erasures",
            {"retention.ms": str(10 * DAY_MS)},
            ["shop.clicks may", "shop.purchases may", "shop.dead-letters may"],
        ),
        ("shop.recommendations", {"retention.ms": "-1"}, []),
        ("shop.clicks", {"retention.ms": str(DAY_MS // 24)}, ["shop.clicks: retention.ms is"]),
    ],
)
def test_settings_that_break_an_erasure_or_lose_events_are_named(
    topic: str, changes: dict[str, str], said: list[str]
) -> None:
    found = as_created()
    found[topic] |= changes
    told = problems(SETTINGS, found)
    assert len(told) == len(said)
    assert all(part in str(problem) for part, problem in zip(said, told, strict=True))


def test_an_erasures_topic_that_keeps_for_ever_outlasts_everything() -> None:
    found = as_created()
    found["shop.erasures"]["retention.ms"] = "-1"
    found["shop.clicks"]["retention.ms"] = "-1"
    assert problems(SETTINGS, found) == []


@pytest.mark.parametrize(
    ("topic", "policy", "said"),
    [
        ("app-users-changelog", "delete", "deletes the rows of users"),
        ("app-users-changelog", "compact,delete", "deletes the rows of users"),
        ("shop.clicks", "compact", "drops all but the last event"),
        ("shop.erasures", "compact,delete", "drops all but the last event"),
    ],
)
def test_a_policy_that_loses_what_must_stay_is_refused(topic: str, policy: str, said: str) -> None:
    found = as_created()
    refuse_unsafe(SETTINGS, found)
    found[topic]["cleanup.policy"] = policy
    with pytest.raises(TopicsError, match=f"{topic}: cleanup.policy is {policy}.*{said}"):
        refuse_unsafe(SETTINGS, found)


def test_impressions_must_be_kept_like_events_where_rows_are_made_of_them() -> None:
    shown = Settings(topic_prefix="shop.", app_id="app", filters="shown:1h")
    found = as_created()
    found["shop.impressions"] |= {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
    assert problems(SETTINGS, found) == []
    told = problems(shown, found)
    assert "shop.impressions: message.ti" in str(told[0])
    assert "impressions may hold" in str(told[1])
    found["shop.impressions"]["cleanup.policy"] = "compact"
    refuse_unsafe(SETTINGS, found)
    with pytest.raises(TopicsError, match=r"shop\.impressions: cleanup\.policy is compact"):
        refuse_unsafe(shown, found)


def test_topics_whose_settings_are_not_told_are_not_refused() -> None:
    refuse_unsafe(SETTINGS, {})
