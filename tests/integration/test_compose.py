"""What docker-compose.yml starts, started here: its commands, and a real Kafka with its settings.

Of the containers only names and folders are replaced by what stands for them on this machine.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_app.broker import EmbeddedKafka
from stream_app.broker.config import HOST, Layout
from stream_app.demo.session import free_port
from stream_app.settings import Settings
from tests.integration.topics import wait_for
from tests.integration.worker import WorkerProcess

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))[
    "services"
]
NO_PROPERTIES = {"KAFKA_HEAP_OPTS"}
"""What the image of Kafka gives to Java; all other variables become properties."""


class ComposedKafka(EmbeddedKafka):
    """The embedded Kafka with the properties that the image makes of Compose's variables."""

    def _configure(self, layout: Layout, port: int, controller_port: int) -> None:
        super()._configure(layout, port, controller_port)
        host_port = free_port()
        text = ""
        for name, value in SERVICES["kafka"]["environment"].items():
            if name not in NO_PROPERTIES:
                key = name.removeprefix("KAFKA_").lower().replace("_", ".")
                text += f"{key}={value}\n"
        for old, new in (
            ("//kafka:9092", f"//{HOST}:{port}"),
            ("//:9092", f"//{HOST}:{port}"),
            ("//:9093", f"//{HOST}:{controller_port}"),
            ("@localhost:9093", f"@{HOST}:{controller_port}"),
            ("//:29092", f"//{HOST}:{host_port}"),
            (f"//{HOST}:9092", f"//{HOST}:{host_port}"),
            ("/var/lib/kafka/data", layout.data.name),
        ):
            assert old in text, f"nothing to replace by {new}"
            text = text.replace(old, new)
        layout.server_properties.write_text(text, "ascii")


@pytest.fixture
def composed() -> Iterator[EmbeddedKafka]:
    with ComposedKafka() as broker:
        yield broker


def here(text: str) -> str:
    return text.replace("/opt/movielens", str(ROOT / "examples" / "movielens"))


def environment(name: str, broker: EmbeddedKafka, **more: str) -> dict[str, str]:
    own = {key: here(value) for key, value in SERVICES[name]["environment"].items()}
    own["STREAM_APP_BOOTSTRAP_SERVERS"] = broker.bootstrap
    return own | more


def command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "stream_app", *map(here, arguments)]


def applied(worker: WorkerProcess) -> int:
    """Events that are in rows, in the order in which they came or put in their place."""
    figures = re.findall(
        r'^stream_app_events_total\{outcome="(?:applied|late)".*\} ([\d.]+)$',
        worker.get("/metrics")[1],
        re.MULTILINE,
    )
    return sum(int(float(figure)) for figure in figures)


def test_all_of_it_works_together(composed: EmbeddedKafka, tmp_path: Path) -> None:
    made = subprocess.run(
        command(SERVICES["topics"]["command"]),
        env={**os.environ, **environment("topics", composed)},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    workers = []
    processes: list[subprocess.Popen[Any]] = []
    try:
        for number in range(SERVICES["worker"]["deploy"]["replicas"]):
            own = environment("worker", composed, STREAM_APP_METRICS_PORT=str(free_port()))
            settings = Settings.load({}, environment=own)
            worker = WorkerProcess(settings, tmp_path / f"worker{number}.log", own)
            workers.append(worker)
            processes.append(worker.process)
        traffic = subprocess.Popen(
            command(SERVICES["traffic"]["command"]),
            env={**os.environ, **environment("traffic", composed)},
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(traffic)
        for worker in workers:
            worker.wait_until_ready()
            check = SERVICES["worker"]["healthcheck"]["test"]
            assert check[:2] == ["CMD", "stream-app"]
            asked = subprocess.run(
                command(check[2:]),
                env={**os.environ, **worker.settings.environment()},
                capture_output=True,
                text=True,
            )
            assert (asked.returncode, asked.stdout[:8]) == (0, "serving "), asked.stderr
        wait_for(lambda: all(applied(worker) > 10 for worker in workers), "events at all workers")
        traffic.send_signal(signal.SIGTERM)
        said, _ = traffic.communicate(timeout=30)
        (sent,) = re.findall(r"^sent (\d+) events$", said, re.MULTILINE)
        wait_for(
            lambda: sum(applied(worker) for worker in workers) == int(sent),
            f"{sent} events applied",
        )
        assert (traffic.returncode, [worker.terminate() for worker in workers]) == (0, [0, 0])
    finally:
        for process in processes:
            process.kill()
            process.wait()
