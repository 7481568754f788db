"""Dashboards and alerts on a real Prometheus that scrapes a real worker.

An unknown metric is only an empty answer to Prometheus, so each expression has to give figures.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas import Click, Item, RecommendationRequest
from stream_app.broker import EmbeddedKafka
from stream_app.cli import experiment
from stream_app.cli import rules as rule_commands
from stream_app.demo.session import free_port
from stream_app.settings import Settings
from stream_app.streaming import topics
from tests.integration.conftest import BUNDLE, PARTITIONS
from tests.integration.shop import figure, say
from tests.integration.topics import (
    ask,
    dead_letters,
    erase,
    lists,
    receipts,
    run_command,
    send,
    send_raw,
    wait_for,
)
from tests.integration.worker import WorkerProcess
from tests.programs import program

sys.path.append(str(Path(__file__).parents[1] / "unit" / "deploy"))

from expressions import RULES, alerts, dashboards, filled_in, panels, rules, without_thresholds

USERS = [f"user-{number}" for number in range(40)]
NOT_MEASURED_YET = "stream_app_index_recall"
"""One query of 10,000 is compared: there is no figure after so few."""
EXPERIMENT = {"name": "page", "arms": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}]}
RULE = {"rule_id": "hero", "items": "item.item_id == '7361'", "pin": 2}


class Prometheus:
    """A Prometheus in a process of its own."""

    def __init__(self, folder: Path, target: int) -> None:
        self.log = folder / "prometheus.log"
        config = folder / "prometheus.yml"
        config.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
                    "rule_files": [str(RULES / "*.yml")],
                    "scrape_configs": [
                        {
                            "job_name": "stream-app",
                            "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
                        }
                    ],
                }
            )
        )
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/api/v1/"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer; None while there is none."""
        assert self.process.poll() is None, self.log.read_text()
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        except (urllib.error.URLError, OSError):
            return None
        assert answer["status"] == "success", answer
        return answer["data"]

    def ask(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """The series of an instant query: labels and value."""
        data = self.get("query", query=expr)
        if data is None:
            return []
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]


@pytest.fixture(scope="module")
def settings(kafka: EmbeddedKafka) -> Settings:
    made = Settings(
        bootstrap_servers=kafka.bootstrap,
        app_id="observed",
        topic_prefix="observed.",
        bundle=str(BUNDLE),
        metrics_port=free_port(),
        session_timeout_s=6,
        output_encoding="json",
    )
    asyncio.run(topics.create(made, PARTITIONS, replication=1))
    return made


@pytest.fixture(scope="module")
def prometheus(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus that knows a worker from before its first event."""
    folder = tmp_path_factory.mktemp("prometheus")
    server = Prometheus(folder, settings.metrics_port)
    worker = WorkerProcess(settings, folder / "worker.log")
    try:
        worker.wait_until_ready()
        wait_for(lambda: any(ready for _, ready in server.ask("stream_app_ready")), "a scrape")
        live(settings, worker, folder)
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        worker.kill()


def live(settings: Settings, worker: WorkerProcess, folder: Path) -> None:
    """A little of all that can happen in an installation."""
    for name, command, said in (
        ("rules", rule_commands.command, RULE),
        ("experiments", experiment.command, EXPERIMENT),
    ):
        file = folder / f"{name}.json"
        file.write_text(json.dumps(said))
        run_command(settings, command, "put", str(file))
        metric = f'stream_app_control_in_force{{topic="{name}"}}'
        wait_for(lambda metric=metric: figure(worker, metric) == 1, metric)
    say(settings, ("new", Item(item_id="new")), ("318", Item(item_id="318")), ("318", None))
    visit(settings, "260")
    send_raw(settings, settings.topic_prefix + "clicks", [(b"user-1", b"{")])
    erase(settings, USERS[0])
    wait_for(
        lambda: (
            len([made for made in lists(settings) if made.request_id]) == len(USERS)
            and len(dead_letters(settings)) == 1
            and len(receipts(settings)) == 1
        ),
        "answers, a dead letter and a receipt",
    )


def visit(settings: Settings, item: str) -> None:
    """Everybody clicks on an item, one of them by a producer that sends it twice, and asks."""
    now = time.time_ns() // 1_000_000
    clicks = [
        Click(user_id=user, item_id=item, timestamp_ms=now, event_id=f"{user} {item}")
        for user in USERS
    ]
    send(settings, [*clicks, clicks[0]])
    ask(settings, *(RecommendationRequest(user_id=user, request_id=user) for user in USERS))


def expressions() -> Iterator[tuple[str, str, str]]:
    """Where an expression is, the expression, and how its series are named."""
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                expr = filled_in(target["expr"], job="stream-app", instance=".*")
                yield f"{name}, {panel['title']}", expr, target["legendFormat"]
    for alert in alerts():
        for part in without_thresholds(alert["expr"]):
            yield alert["alert"], part, ""


def nothing_in(prometheus: Prometheus) -> list[str]:
    """Expressions that give no figure, or no label that their names need."""
    found = []
    for where, expr, legend in expressions():
        series = prometheus.ask(expr)
        if not any(math.isfinite(value) for _, value in series) and not (
            series and NOT_MEASURED_YET in expr
        ):
            found.append(f"{where}: {expr}: {series}")
        wanted = set(re.findall(r"\{\{(\w+)\}\}", legend))
        if not any(wanted <= labels.keys() or "none" in labels.values() for labels, _ in series):
            found.append(f"{where}: {expr}: no {wanted} in {series}")
    return found


def test_every_expression_of_panels_and_alerts_gives_figures(
    settings: Settings, prometheus: Prometheus
) -> None:
    """Rates need a scrape before and one after, so users go on until all is there."""
    deadline = time.monotonic() + 60
    for item in itertools.count(1):
        visit(settings, str(item))
        if not (missing := nothing_in(prometheus)):
            break
        assert time.monotonic() < deadline, "\n".join(missing)


def test_every_rule_is_evaluated_and_nothing_is_wrong(prometheus: Prometheus) -> None:
    groups = prometheus.get("rules")["groups"]
    evaluated = [rule for group in groups for rule in group["rules"]]
    assert len(evaluated) == len(rules())
    assert {rule["health"] for rule in evaluated} == {"ok"}
    firing = [a for a in prometheus.get("alerts")["alerts"] if a["state"] == "firing"]
    assert firing == []
