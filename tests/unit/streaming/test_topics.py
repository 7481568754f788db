"""Topics are not asked for before the cluster has a controller that can make them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stream_app.streaming import topics

NODE = {"node_id": 1}


class Cluster:
    """Describes itself as it comes back after a pause: the last description stays."""

    def __init__(self, *controllers: tuple[int, list[dict[str, int]]]) -> None:
        self.controllers = list(controllers)

    async def describe_cluster(self) -> dict[str, Any]:
        number, brokers = self.controllers[0]
        if len(self.controllers) > 1:
            del self.controllers[0]
        return {"controller_id": number, "brokers": brokers}


def test_a_controller_that_is_not_listed_yet_is_waited_for() -> None:
    cluster = Cluster((-1, []), (1, []), (1, [NODE]))
    asyncio.run(topics._wait_for_controller(cluster.describe_cluster))
    assert cluster.controllers == [(1, [NODE])]


def test_no_controller_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "CONTROLLER_S", 0)
    with pytest.raises(topics.TopicsError, match="no controller"):
        asyncio.run(topics._wait_for_controller(Cluster((-1, [NODE])).describe_cluster))
