"""Topics are asked for again while a cluster that has just come back has no controller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, NotControllerError

from schemas import IMPRESSIONS
from stream_app.settings import Settings
from stream_app.streaming import topics

NODE = {"node_id": 1}
SETTINGS = Settings(app_id="test")


class Cluster:
    """Answers as a real one was seen to: one of `troubles` for each client, then none."""

    def __init__(self, *troubles: str) -> None:
        self.troubles = list(troubles)
        self.trouble = ""
        self.made: list[str] = []

    @asynccontextmanager
    async def client(self, settings: Settings) -> AsyncIterator[Cluster]:
        self.trouble = self.troubles.pop(0) if self.troubles else ""
        yield self

    async def describe_cluster(self) -> dict[str, Any]:
        if self.trouble == "knows no broker":
            raise NodeNotReadyError
        known = self.trouble != "no controller"
        return {"controller_id": 1 if known else -1, "brokers": [NODE]}

    async def create_topics(self, wanted: list[Any]) -> Any:
        if self.trouble == "lost on the way":
            raise AttributeError("'NoneType' object has no attribute 'nodeId'")
        if self.trouble == "moved" and len(self.made) == 2:
            return SimpleNamespace(topic_errors=[(wanted[0].name, NotControllerError.errno, "")])
        self.made.append(wanted[0].name)
        return SimpleNamespace(topic_errors=[(wanted[0].name, 0, None)])

    async def list_topics(self) -> list[str]:
        if self.trouble == "knows no broker":
            raise NodeNotReadyError
        return self.made

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        if self.trouble == "loses its broker":
            raise KafkaConnectionError
        return [{"topic": name, "partitions": [0, 1]} for name in names]


@pytest.fixture
def create(monkeypatch: pytest.MonkeyPatch) -> Callable[[Cluster], dict[str, str]]:
    def run(cluster: Cluster) -> dict[str, str]:
        monkeypatch.setattr(topics, "admin_client", cluster.client)
        return asyncio.run(topics.create(SETTINGS, 4, 1))

    return run


@pytest.mark.parametrize(
    "trouble", ["knows no broker", "no controller", "lost on the way", "moved"]
)
def test_a_controller_is_waited_for(
    create: Callable[[Cluster], dict[str, str]], trouble: str
) -> None:
    cluster = Cluster(trouble, trouble)
    names = [spec.name for spec in topics.specs(SETTINGS, 4)]
    assert create(cluster) == dict.fromkeys(names, "created")
    assert cluster.made == names  # each once


def test_no_controller_is_said(
    create: Callable[[Cluster], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "CONTROLLER_S", 0)
    with pytest.raises(topics.TopicsError, match="no controller"):
        create(Cluster(*["no controller"] * 5))


@pytest.mark.parametrize("trouble", ["knows no broker", "loses its broker"])
def test_partitions_are_asked_for_again_through_a_new_client(
    monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    cluster = Cluster(trouble, trouble)
    cluster.made = ["clicks"]
    monkeypatch.setattr(topics, "admin_client", cluster.client)
    counts = asyncio.run(topics.partition_counts(SETTINGS, ["clicks", "missing"]))
    assert counts == {"clicks": 2}
    monkeypatch.setattr(topics, "CONTROLLER_S", -1)
    cluster.troubles = [trouble]
    with pytest.raises(KafkaConnectionError if "loses" in trouble else NodeNotReadyError):
        asyncio.run(topics.partition_counts(SETTINGS, ["clicks"]))


def test_a_worker_needs_impressions_only_to_remember_what_was_shown() -> None:
    shown = Settings(app_id="test", filters="bought,shown:1h", topic_prefix="shop.")
    assert IMPRESSIONS in topics.not_for_workers(SETTINGS)
    assert IMPRESSIONS not in topics.not_for_workers(shown)
    assert topics.impressions_topic(SETTINGS) is None
    assert topics.impressions_topic(shown) == "shop.impressions"
    assert topics.impressions_topic(Settings(filters="served:1h")) is None


def test_what_was_described_is_checked_without_asking_again() -> None:
    counts = {spec.name: 4 for spec in topics.specs(SETTINGS, 4)}
    assert topics.checked(SETTINGS, counts) == 4
    del counts["impressions"]
    assert topics.checked(SETTINGS, counts, without=(IMPRESSIONS,)) == 4
    with pytest.raises(topics.TopicsError, match="topics are missing: impressions"):
        topics.checked(SETTINGS, counts)
    with pytest.raises(topics.TopicsError, match="one number of partitions"):
        topics.checked(SETTINGS, counts | {"clicks": 3}, without=(IMPRESSIONS,))
