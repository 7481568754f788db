"""What of an installation is a problem, and how it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.status.judge import judge
from stream_app.status.report import (
    Freshness,
    GroupStatus,
    MemberStatus,
    PartitionLag,
    Status,
    WorkerAnswer,
)
from stream_app.status.text import as_text


def member(*partitions: str, release: str | None = "m@1 on cpu") -> MemberStatus:
    return MemberStatus("id-123456", "faust", "10.0.0.7", list(partitions), release)


def seen(**changes: Any) -> Status:
    made: dict[str, Any] = {
        "at_ms": 0,
        "bootstrap_servers": "kafka:9092",
        "group": GroupStatus("app", "Stable", [member("clicks/0")], []),
        "lag": 0,
        "partitions": [PartitionLag("clicks", 0, 5, 0, 5, 0)],
        "lists": 1,
        "freshness": Freshness(1, 300, 10, 20, 20),
        "events_per_s": 0,
        "lists_per_s": 0,
        "dead_letters": {},
        "dead_letters_on_topic": 0,
        "workers": [],
        "missing_topics": [],
    }
    status = Status(**(made | changes))
    judge(status, late_s=60)
    return status


def group(state: str = "Stable", *members: MemberStatus, unowned: tuple[str, ...] = ()) -> Any:
    return {"group": GroupStatus("app", state, list(members), list(unowned))}


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"missing_topics": ["clicks"]}, "topics-missing", "stream-app topics create"),
        (group("Dead"), "no-worker", "or name the right --app-id"),
        (group("Empty"), "no-worker", "every worker has left"),
        (group("PreparingRebalance", member()), "rebalancing", "look again soon"),
        (group("Stable", member(), unowned=("clicks/1",)), "unowned", "no worker has clicks/1"),
        (
            {"partitions": [PartitionLag("clicks", 2, 5, 0, 9, 4, waiting_s=61)]},
            "late", "clicks/2: a record has waited for 61 s (1 partitions",
        ),
        ({"partitions": [PartitionLag("clicks", 2, 5, 7, 9, 2, lost=2)]}, "lost", "2 records were"),
        ({"workers": [WorkerAnswer("w:1", False, "recovering")]}, "not-ready", "w:1 is not ready"),
    ],
)  # fmt: skip
def test_problems(changes: dict[str, Any], kind: str, said: str) -> None:
    status = seen(**changes)
    assert [one.kind for one in status.problems] == [kind]
    assert said in status.problems[0].what
    assert not status.well
    assert f"problem: {status.problems[0].what}" in as_text(status)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lists": 0}, "no list has been made yet"),
        (group("Stable", member("clicks/0"), member()), "some are spare"),
        (
            group("Stable", member("clicks/0"), member("clicks/1", release="m@2 on cpu")),
            "workers serve 2 releases: m@1 on cpu, m@2 on cpu",
        ),
        ({"dead_letters": {"too_large": 3}}, "3 messages were rejected in the last hour"),
    ],
)
def test_what_is_worth_a_note_is_no_problem(changes: dict[str, Any], said: str) -> None:
    status = seen(**changes)
    assert status.well
    assert any(said in note for note in status.notes)


def test_a_topic_of_many_partitions_stays_a_line() -> None:
    parts = [PartitionLag("clicks", n, 5, 0, 15 + n, 10 + n, waiting_s=1) for n in range(50)]
    text = as_text(seen(partitions=parts, lag=sum(one.lag for one in parts)))
    assert "(49: 5 of 64, 48: 5 of 63, 47: 5 of 62, 46: 5 of 61, and 46 more)" in text
    assert "the last 5 min ago" in text
