"""The manifests of every overlay: valid, whole, and as the code understands them.

`k8s/rendered` is what kustomize made of them; that it is of the sources as they are is checked too.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from copy import deepcopy
from types import ModuleType
from typing import Any

import pytest
from checks import problems
from manifests import ROOT, Manifest, one, overlays, pods, rendered, workers

from tests.programs import program

DEPLOYING = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def render() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render", ROOT / "tools" / "render_k8s.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_rendered_is_of_the_sources(render: ModuleType) -> None:
    assert render.problems(None) == [], "run: python tools/render_k8s.py"


def test_what_is_rendered_is_what_kustomize_makes(render: ModuleType) -> None:
    assert render.problems(program("kustomize")) == []


@pytest.mark.parametrize("overlay", overlays())
def test_nothing_is_wrong(overlay: str) -> None:
    assert problems(rendered(overlay)) == []


@pytest.mark.parametrize("overlay", overlays())
def test_every_secret_is_in_the_document(overlay: str) -> None:
    for owner, pod in pods(rendered(overlay)):
        for volume in pod["spec"].get("volumes", []):
            if "secret" in volume:
                name = volume["secret"]["secretName"]
                assert f"create secret generic {name} " in DEPLOYING, f"{owner}: {name}"


@pytest.mark.parametrize("overlay", overlays())
def test_rows_of_users_go_with_their_pod(overlay: str) -> None:
    """Of a worker that does not come back nobody would sweep what a claim keeps of erased users."""
    for owner, pod in pods(rendered(overlay)):
        for volume in pod["spec"].get("volumes", []):
            assert "persistentVolumeClaim" not in volume or volume["name"] == "bundles", owner
    for manifest in rendered(overlay):
        assert "volumeClaimTemplates" not in manifest.get("spec", {}), overlay


def worker_of(manifests: list[Manifest]) -> Any:
    return one(manifests, "StatefulSet", "stream-app-worker")["spec"]["template"]["spec"]


def settings_of(manifests: list[Manifest]) -> Any:
    return one(manifests, "ConfigMap")["data"]


def container(manifests: list[Manifest]) -> Any:
    return worker_of(manifests)["containers"][0]


def with_hpa(manifests: list[Manifest]) -> None:
    manifests.append(one(rendered("production-without-keda"), "HorizontalPodAutoscaler"))


def scaler(manifests: list[Manifest]) -> Any:
    return one(manifests, "ScaledObject")["spec"]


FAULTS: dict[str, tuple[Callable[[list[Manifest]], object], str]] = {
    "a field that does not exist": (
        lambda m: worker_of(m).update(terminationGracePeriod=1),
        "terminationGracePeriod",
    ),
    "a field of a custom resource that does not exist": (
        lambda m: scaler(m).update(maxReplicas=3),
        "maxReplicas",
    ),
    "a kind that nobody knows": (
        lambda m: m.append({"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "a"}}),
        "there is no schema for it",
    ),
    "a service without pods": (
        lambda m: one(m, "Service")["spec"]["selector"].update({"app.kubernetes.io/name": "x"}),
        "selects nothing",
    ),
    "a monitor without a service": (
        lambda m: one(m, "ServiceMonitor")["spec"]["selector"]["matchLabels"].update(a="b"),
        "selects nothing",
    ),
    "a claim that is not there": (
        lambda m: m.remove(one(m, "PersistentVolumeClaim")),
        "PersistentVolumeClaim/stream-app-bundles is not there",
    ),
    "a path that no worker answers": (
        lambda m: container(m)["livenessProbe"]["httpGet"].update(path="/healthz"),
        "a worker has no /healthz",
    ),
    "a port that no worker has": (
        lambda m: settings_of(m).update(STREAM_APP_METRICS_PORT="9465"),
        "the port is 9465",
    ),
    "a worker that only it can ask": (
        lambda m: settings_of(m).update(STREAM_APP_METRICS_HOST="127.0.0.1"),
        "is only for itself",
    ),
    "a setting that is none": (
        lambda m: settings_of(m).update(STREAM_APP_BUNDEL="x"),
        "STREAM_APP_BUNDEL is no setting",
    ),
    "a value that is none": (
        lambda m: settings_of(m).update(STREAM_APP_STATE_STORE="redis"),
        "must be one of",
    ),
    "a bundle that no volume brings": (
        lambda m: settings_of(m).update(STREAM_APP_BUNDLE="/models/a"),
        "where nothing is mounted",
    ),
    "a flag that no command has": (
        lambda m: container(m).update(args=["worker", "--port", "1"]),
        "No such option",
    ),
    "two scalers": (with_hpa, "has 2 scalers"),
    "more workers than partitions": (
        lambda m: scaler(m).update(maxReplicaCount=20),
        "there are 12 partitions",
    ),
    "replicas beside a scaler": (
        lambda m: one(m, "StatefulSet")["spec"].update(replicas=3),
        "beside a scaler",
    ),
    "another group": (
        lambda m: settings_of(m).update(STREAM_APP_APP_ID="shop"),
        "consumerGroup is stream-app",
    ),
    "other topics": (
        lambda m: settings_of(m).update(STREAM_APP_TOPIC_PREFIX="shop."),
        "workers consume shop.clicks",
    ),
    "no time to finish": (
        lambda m: worker_of(m).update(terminationGracePeriodSeconds=20),
        "killed after 20 s",
    ),
    "no way to Kafka": (
        lambda m: settings_of(m).update(STREAM_APP_BOOTSTRAP_SERVERS="kafka:19092"),
        "may not reach kafka:19092",
    ),
    "an image that can be written to": (
        lambda m: container(m)["securityContext"].update(readOnlyRootFilesystem=False),
        "can write to its image",
    ),
    "root": (lambda m: worker_of(m)["securityContext"].update(runAsUser=0), "may run as root"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str) -> None:
    manifests = deepcopy(rendered("production"))
    plant, said = FAULTS[fault]
    plant(manifests)
    assert any(said in problem for problem in problems(manifests)), problems(manifests)


MIB = 1 << 20
UNITS = {"Mi": MIB, "Gi": 1024 * MIB}


def size(text: str) -> int:
    return int(text[:-2]) * UNITS[text[-2:]]


def test_the_limit_of_production_is_that_of_the_document() -> None:
    (worker,) = workers(rendered("production"))
    limit = worker.spec["resources"]["limits"]["memory"]
    assert f"`production`\nhas a limit of `{limit}`" in DEPLOYING


def test_the_table_of_sizes_is_what_was_measured() -> None:
    """2,300 events/s a worker, 135 MB and 2.2 KB a user, half as much again; one worker missing."""
    table = DEPLOYING.partition("| events/s | users |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) > 3
    for row in table:
        cells = [cell.strip().replace(",", "") for cell in row.strip("| ").split("|")]
        rate, users, count, partitions = map(int, cells[:4])
        left = count - 1
        needed = 1.5 * (135e6 + 2200 * users / left)
        assert rate / left <= 2300, row
        assert count <= partitions, row
        assert needed <= size(cells[4]) <= needed + 768 * MIB, row
        assert cells[5] == f"{round(users / left / 50_000)} s", row
