"""Alerts: tested by promtool, explained in the runbooks, of metrics that the code exports."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from typing import Any

import pytest
import yaml
from commands import command_problems
from expressions import ROOT, alerts, dashboards, filled_in, metrics_of, panels, rules
from manifests import rendered
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from schemas import Reason
from stream_app.degradations import Degradation
from stream_app.observability.catalogue import STATES
from stream_app.observability.metrics import Metrics
from tests.programs import program

CASES = ROOT / "tests" / "unit" / "deploy" / "alerts"
RULES = ROOT / "deploy" / "prometheus" / "rules"
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text("utf-8")
NOT_OURS = {
    "up", "ALERTS", "process_start_time_seconds", "process_cpu_seconds_total",
    "process_resident_memory_bytes", "process_open_fds", "process_max_fds",
}  # fmt: skip
"""Of Prometheus, and of its client library on Linux."""
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
PARTS = ("What it means", "How to look", "What to do", "It is over when")


def run(*command: str, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules() -> None:
    run(program("promtool"), "check", "config", str(RULES.parent / "prometheus.yml"))


def test_alerts_fire_when_they_should_and_only_then() -> None:
    run(
        program("promtool"),
        "test",
        "rules",
        *sorted(path.name for path in CASES.iterdir()),
        cwd=CASES,
    )


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() -> None:
    expected: dict[str, set[bool]] = defaultdict(set)
    for path in CASES.iterdir():
        for case in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            for looked in case["promql_expr_test"]:
                (name,) = re.findall(r'alertname="(\w+)"', looked["expr"])
                assert name == case["name"]
                expected[name].add(bool(looked["exp_samples"]))
    assert expected == {alert["alert"]: {True, False} for alert in alerts()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_it_is_and_where_to_read_on(alert: Any) -> None:
    name, notes = alert["alert"], alert["annotations"]
    assert notes["description"].endswith(".")
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert 10 < len(notes["summary"]) < 60
    assert notes["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
    section = RUNBOOKS.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    for part in PARTS:
        assert f"**{part}" in section, f"{name}: {part}"


def test_runbooks_are_of_alerts_that_are_there() -> None:
    assert sorted(re.findall(r"^### (StreamApp\w+)$", RUNBOOKS, re.M)) == sorted(
        alert["alert"] for alert in alerts()
    )


def test_runbooks_name_panels_and_commands_that_are_there() -> None:
    titles = [panel["title"] for one in dashboards().values() for panel in panels(one)]
    for name in re.findall(r"(?<!\*)\*([A-Z][^*]+?)\*(?!\*)", RUNBOOKS):
        assert any(title.startswith(" ".join(name.split())) for title in titles), name
    blocks = "\n".join(re.findall(r"^```\n(.*?)^```", RUNBOOKS, re.M | re.S))
    commands = re.findall(r"^stream-app (.*?)(?: > .*)?$", blocks, re.M)
    commands += re.findall(r"`stream-app ([^`]+)`", RUNBOOKS)
    assert len(commands) > 30
    for command in commands:
        wrong = command_problems(command.split())
        # The file that the command before it writes.
        assert [problem for problem in wrong if "'letters.jsonl': No such" not in problem] == []


def exported() -> set[str]:
    """The names that a worker's metrics have on a scrape."""
    registry = CollectorRegistry()
    Metrics(registry)
    found: list[Metric] = list(registry.collect())
    return {metric.name + end for metric in found for end in SUFFIXES.get(metric.type, ("",))}


def asked() -> dict[str, str]:
    """All expressions, by where they are."""
    return {
        f"{name}: {panel['title']} {target['refId']}": filled_in(
            target["expr"], job="stream-app", instance=".*"
        )
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    } | {rule.get("alert", rule.get("record")): rule["expr"] for rule in rules()}


def test_every_metric_that_is_asked_for_is_one_of_the_code() -> None:
    known = exported() | NOT_OURS | {rule["record"] for rule in rules() if "record" in rule}
    for where, expr in asked().items():
        assert metrics_of(expr) <= known, where


@pytest.mark.parametrize(
    ("label", "known"),
    [
        ("kind", {str(kind) for kind in Degradation}),
        ("reason", {str(reason) for reason in Reason}),
        ("state", set(STATES)),
    ],
)
def test_values_of_labels_are_those_of_the_code(label: str, known: set[str]) -> None:
    found = {
        value
        for expr in asked().values()
        for values in re.findall(rf'\b{label}!?[=~]+"([^"]+)"', expr)
        for value in values.split("|")
    }
    assert found
    assert found <= known


def test_jobs_have_the_name_that_alerts_look_for() -> None:
    config = yaml.safe_load((RULES.parent / "prometheus.yml").read_text("utf-8"))
    names = [job["job_name"] for job in config["scrape_configs"]]
    # The operator names a job after the service that the monitor selects.
    names += [m["metadata"]["name"] for m in rendered("production") if m["kind"] == "Service"]
    assert len(names) == 2
    assert all(name.startswith("stream-app") for name in names)
    matched = {job for rule in rules() for job in re.findall(r"job=~\"(.+?)\"", rule["expr"])}
    assert matched == {"stream-app.*"}


def test_kubernetes_gets_the_same_rules() -> None:
    made = [
        rule
        for manifest in rendered("production")
        if manifest["kind"] == "PrometheusRule"
        for group in manifest["spec"]["groups"]
        for rule in group["rules"]
    ]
    assert made == rules()
