"""One embedded Kafka for all integration tests; every test has topics and a group of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream_app.broker import EmbeddedKafka
from stream_app.demo.session import free_port
from stream_app.settings import Settings
from stream_app.streaming import topics
from tests.integration.worker import WorkerProcess

BUNDLE = Path(__file__).parents[2] / "examples" / "movielens" / "bundle"
PARTITIONS = 4

_numbers = itertools.count()


@pytest.fixture(scope="session")
def kafka() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka() as broker:
        yield broker


@pytest.fixture
def settings(kafka: EmbeddedKafka) -> Settings:
    """Settings with topics that no other test has."""
    name = f"test{next(_numbers)}"
    made = Settings(
        bootstrap_servers=kafka.bootstrap,
        app_id=name,
        topic_prefix=f"{name}.",
        bundle=str(BUNDLE),
        metrics_port=free_port(),
        session_timeout_s=6,
        output_encoding="json",
    )
    asyncio.run(topics.create(made, PARTITIONS, replication=1))
    return made


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Start workers that are gone after the test, whatever happens."""
    started: list[WorkerProcess] = []

    def start(settings: Settings, **environment: str) -> WorkerProcess:
        worker = WorkerProcess(settings, tmp_path / f"worker{len(started)}.log", environment)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()
