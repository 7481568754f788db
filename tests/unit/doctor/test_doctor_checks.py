"""What doctor makes of clusters that no test here has: several brokers, copies away, clocks."""

from __future__ import annotations

import socket

import pytest

from stream_app.cli.doctor import as_text
from stream_app.demo.session import free_port
from stream_app.doctor import machine, running, topics
from stream_app.doctor.cluster import Cluster
from stream_app.doctor.finding import Finding, NotChecked, Report
from stream_app.settings import Settings
from stream_app.streaming.clock import ClockReading
from stream_app.streaming.layout import Layout, Replicas

SECURED = Settings(
    security_protocol="SASL_SSL", sasl_mechanism="PLAIN", sasl_username="ann",
    sasl_password_file="password",
)  # fmt: skip


def cluster(*parts: Replicas, brokers: int = 3, least: str = "2", **config: str) -> Cluster:
    layout = Layout(brokers, {"clicks": list(parts)})
    return Cluster(SECURED, layout, {"clicks": {"min.insync.replicas": least, **config}})


@pytest.mark.parametrize(
    ("parts", "least", "severity", "said"),
    [
        ([Replicas(True, 3, 3), Replicas(False, 3, 0)], "2", "error", "has no leader"),
        ([Replicas(True, 3, 1)], "2", "error", "fewer copies in sync than min.insync.replicas (2)"),
        ([Replicas(True, 3, 2)], "2", "warning", "copies that are not in sync"),
        ([Replicas(True, 1, 1)], "1", "warning", "one copy"),
        ([Replicas(True, 3, 3)], "1", "warning", "min.insync.replicas is 1"),
    ],
)
def test_copies_that_would_not_do(
    parts: list[Replicas], least: str, severity: str, said: str
) -> None:
    (finding,) = topics.replication(cluster(*parts, least=least))
    assert (finding.check, finding.severity) == ("replication", severity)
    assert said in finding.what
    assert "--command-config client.properties" in str(finding.command)


def test_copies_that_do() -> None:
    assert topics.replication(cluster(Replicas(True, 3, 3))) == []
    assert topics.replication(cluster(Replicas(True, 1, 1), brokers=1, least="1")) == []


def test_a_topic_with_too_few_partitions_is_enlarged_and_one_with_too_many_made_again() -> None:
    one = Replicas(True, 1, 1)
    layout = {"clicks": [one] * 2, "purchases": [one] * 2, "dead-letters": [one], "profiles": [one]}
    counts = Cluster(Settings(), Layout(1, layout | {"erasures": [one] * 2}), {})
    found = {one.what.split()[0]: one for one in topics.partitions(counts)}
    assert found.keys() == {"dead-letters", "profiles"}
    assert "--alter --topic dead-letters --partitions 2" in str(found["dead-letters"].command)
    assert found["dead-letters"].fix == "add partitions to it"


@pytest.mark.parametrize("check", [topics.topic_settings, topics.message_size])
def test_settings_that_are_not_told_are_said_to_be_unchecked(check) -> None:
    with pytest.raises(NotChecked, match="DescribeConfigs"):
        check(Cluster(Settings(), Layout(1, {"clicks": [Replicas(True, 1, 1)]}), {}))


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (ClockReading(behind_ms=3_000), "this machine's clock is behind the brokers' by 3.0 s"),
        (ClockReading(-50, ahead_ms=1_500), "this machine's clock is ahead of the brokers' by 1.5"),
        (ClockReading(-50, -9, worker_ahead_ms=2_000), "the worker that made the newest list is"),
    ],
)
def test_clocks_that_differ(reading: ClockReading, said: str) -> None:
    (finding,) = running.judge_clock(reading)
    assert said in finding.what


def test_clocks_that_agree_or_cannot_be_compared() -> None:
    assert running.judge_clock(ClockReading(-50, -9, -3)) == []
    with pytest.raises(NotChecked, match="only whether this machine is behind"):
        running.judge_clock(ClockReading(behind_ms=-50))
    with pytest.raises(NotChecked, match="no topic has a record"):
        running.judge_clock(ClockReading())


def test_a_machine_without_what_its_settings_ask_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    kept = Settings(state_store="rocksdb", state_dir=str(tmp_path / "a" / "b"))
    with pytest.raises(NotChecked, match="no bundle is given"):
        machine.bundle(kept)
    monkeypatch.setattr(machine, "find_spec", lambda _: None)
    (finding,) = machine.state_directory(kept)
    assert "pip install 'stream-app[rocksdb]'" in str(finding.command)
    monkeypatch.setattr(machine, "find_spec", lambda _: object())
    monkeypatch.setattr(machine, "FREE_BYTES", 1 << 80)
    (finding,) = machine.state_directory(kept)
    assert finding.severity == "warning"
    assert "MiB free" in finding.what
    assert not (tmp_path / "a").exists()


def test_errors_come_first() -> None:
    parts = {"why": "it stops", "fix": "mend it"}
    report = Report(
        [
            Finding(check="a", severity="warning", what="small", **parts),
            Finding(check="b", what="large", **parts),
        ]
    )
    text = as_text(report)
    assert text.startswith("error: b: large\n  why  it stops\n  fix  mend it\n\nwarning: a: small")
    assert text.endswith("found 1 error and 1 warning")


def test_a_taken_port_of_the_inspector_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        settings = Settings(metrics_port=free_port(), inspector_port=number)
        (found,) = machine.port(settings)
    assert f"inspector port {number}" in found.what
    assert "inspector_port" in found.fix
    assert machine.port(settings) == []
