"""docker-compose.yml: valid, whole, and as the code understands it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from commands import command_problems, option, path_problems, settings_of

from stream_app.settings import Settings

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("stream-app")]


def test_it_is_of_the_compose_specification() -> None:
    schema = json.loads(
        (Path(__file__).parent / "schemas" / "compose-spec.json").read_text("utf-8")
    )
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_what_services_name_is_there() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", [])) <= SERVICES.keys(), name
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).is_dir(), f"{name}: {mount}"
    used = {mount.partition(":")[0] for s in SERVICES.values() for mount in s.get("volumes", [])}
    assert COMPOSE["volumes"].keys() <= used


def test_who_waits_for_a_service_waits_for_what_it_can_say() -> None:
    for name, service in SERVICES.items():
        depends = service.get("depends_on", {})
        for other, how in depends.items() if isinstance(depends, dict) else ():
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], name
            elif how["condition"] == "service_completed_successfully":
                assert "restart" not in SERVICES[other], f"{name}: {other} would run for ever"


def test_images_are_of_one_version_and_ports_on_the_loopback() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.]*", service["image"]), name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"


@pytest.mark.parametrize("name", OURS)
def test_commands_and_settings_are_those_of_the_code(name: str) -> None:
    service = SERVICES[name]
    settings, wrong = settings_of(service["environment"])
    wrong += command_problems(service["command"])
    wrong += path_problems(settings, [], worker=service["command"][0] == "worker")
    check = service["healthcheck"].get("test", ["CMD", "stream-app", "health"])
    assert check[:2] == ["CMD", "stream-app"]
    assert wrong + command_problems(check[2:]) == []


@pytest.mark.parametrize("name", OURS)
def test_containers_can_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]
    assert "volumes" not in service


def test_a_worker_has_the_time_that_it_takes_to_finish() -> None:
    seconds = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings().shutdown_timeout_s


def test_there_are_partitions_for_all_workers() -> None:
    partitions = int(option(SERVICES["topics"]["command"], "--partitions"))
    assert 2 <= SERVICES["worker"]["deploy"]["replicas"] <= partitions


def test_everybody_finds_kafka() -> None:
    kafka = SERVICES["kafka"]
    advertised = dict(
        listener.split("://") for listener in _list(kafka, "KAFKA_ADVERTISED_LISTENERS")
    )
    bound = dict(listener.split("://") for listener in _list(kafka, "KAFKA_LISTENERS"))
    for name in OURS:
        server = SERVICES[name]["environment"]["STREAM_APP_BOOTSTRAP_SERVERS"]
        assert server == advertised["PLAINTEXT"], name
    assert advertised["PLAINTEXT"] == f"kafka{bound['PLAINTEXT']}"
    # Programs of this machine connect to the default address and are sent to the same one again.
    assert advertised["HOST"] == Settings().bootstrap_servers
    assert kafka["ports"] == [f"{advertised['HOST']}{bound['HOST']}"]


def test_prometheus_asks_every_worker() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text("utf-8"))
    (job,) = (j for j in config["scrape_configs"] if j["job_name"] == "stream-app")
    (found,) = job["dns_sd_configs"]
    assert found["names"] == ["worker"]
    assert SERVICES["worker"]["command"] == ["worker"]
    assert found["port"] == Settings().metrics_port
    assert job.get("metrics_path", "/metrics") == "/metrics"
    prometheus = SERVICES["prometheus"]
    assert "./deploy/prometheus:/etc/prometheus:ro" in prometheus["volumes"]
    assert "--config.file=/etc/prometheus/prometheus.yml" in prometheus["command"]


def test_grafana_asks_prometheus() -> None:
    folder = ROOT / "deploy" / "grafana" / "provisioning" / "datasources"
    (source,) = yaml.safe_load((folder / "prometheus.yml").read_text("utf-8"))["datasources"]
    (port,) = SERVICES["prometheus"]["ports"]
    assert source["url"] == f"http://prometheus:{port.rpartition(':')[2]}"
    assert (
        "./deploy/grafana/provisioning:/etc/grafana/provisioning:ro"
        in (SERVICES["grafana"]["volumes"])
    )


def _list(service: dict[str, Any], name: str) -> list[str]:
    return str(service["environment"][name]).split(",")
