"""What can be wrong with a set of manifests: each function lists what is, in words."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from functools import cache
from pathlib import Path

import jsonschema
import kubernetes_validate
from commands import command_problems, path_problems, settings_of
from manifests import Manifest, containers, name_of, one, pods, workers
from prometheus_client import CollectorRegistry
from scaling import scaler_problems

from stream_app.observability.server import start_metrics_server

SCHEMAS = Path(__file__).parent / "schemas"
VERSION = "1.31"
"""The oldest Kubernetes that docs/deploying.md names; what it takes, newer ones take."""
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def problems(manifests: list[Manifest]) -> list[str]:
    """Everything that is wrong."""
    return [
        problem
        for check in (
            schema_problems,
            duplicates,
            selector_problems,
            reference_problems,
            container_problems,
            probe_problems,
            security_problems,
            network_problems,
            scaler_problems,
        )
        for problem in check(manifests)
    ]


def schema_problems(manifests: list[Manifest]) -> list[str]:
    return [problem for m in manifests if (problem := _schema_problem(json.dumps(m)))]


@cache  # the schemas of Kubernetes are read anew each time, and most manifests are in all overlays
def _schema_problem(text: str) -> str:
    """A kind without a schema is wrong as well: nobody would have looked at it."""
    manifest = json.loads(text)
    own = SCHEMAS / f"{manifest['kind']}.json"
    try:
        if own.exists():
            jsonschema.validate(manifest, json.loads(own.read_text(encoding="utf-8")))
        else:
            kubernetes_validate.validate(manifest, VERSION, strict=True)
    except jsonschema.ValidationError as error:
        return f"{name_of(manifest)}: {error.json_path}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError:
        return f"{name_of(manifest)}: there is no schema for it"
    return ""


def duplicates(manifests: list[Manifest]) -> list[str]:
    names = Counter((name_of(m), m["metadata"].get("namespace")) for m in manifests)
    return [f"{name} is there {count} times" for (name, _), count in names.items() if count > 1]


def selector_problems(manifests: list[Manifest]) -> list[str]:
    """Selectors that find no pod, or no service."""
    labels = [pod["metadata"]["labels"] for _, pod in pods(manifests)]
    services = [m["metadata"]["labels"] for m in manifests if m["kind"] == "Service"]
    wanted = []
    for manifest in manifests:
        spec, name = manifest.get("spec", {}), name_of(manifest)
        match manifest["kind"]:
            case "Service":
                wanted.append((name, spec["selector"], labels))
            case "ServiceMonitor":
                wanted.append((name, spec["selector"]["matchLabels"], services))
            case "NetworkPolicy":
                wanted.append((name, spec["podSelector"]["matchLabels"], labels))
            case "PodDisruptionBudget":
                wanted.append((name, spec["selector"]["matchLabels"], labels))
            case "StatefulSet" | "Deployment":
                own = [spec["template"]["metadata"]["labels"]]
                spread = spec["template"]["spec"].get("topologySpreadConstraints", [])
                selectors = [spec["selector"], *(rule["labelSelector"] for rule in spread)]
                wanted += [(name, selector["matchLabels"], own) for selector in selectors]
    return [
        f"{name}: {selector} selects nothing"
        for name, selector, among in wanted
        if not any(selector.items() <= found.items() for found in among)
    ]


def reference_problems(manifests: list[Manifest]) -> list[str]:
    """Names of what is not there, and mounts of no volume. Secrets are not among the manifests."""
    there = {name_of(manifest) for manifest in manifests}
    found = []
    for owner, pod in pods(manifests):
        spec = pod["spec"]
        wanted = [f"ServiceAccount/{spec[key]}" for key in ("serviceAccountName",) if key in spec]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        wanted += [
            f"PersistentVolumeClaim/{volume['persistentVolumeClaim']['claimName']}"
            for volume in volumes.values()
            if "persistentVolumeClaim" in volume
        ]
        for container in spec["containers"]:
            sources = container.get("envFrom", [])
            wanted += [f"ConfigMap/{source['configMapRef']['name']}" for source in sources]
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            found += [f"{owner}: there is no volume {name}" for name in mounted - volumes.keys()]
        found += [f"{owner}: {name} is not there" for name in wanted if name not in there]
    return found


def container_problems(manifests: list[Manifest]) -> list[str]:
    """Command lines and settings that the code would not take."""
    found = []
    for container in containers(manifests):
        settings, wrong = settings_of(container.environment)
        wrong += command_problems(container.arguments)
        worker = container.arguments[:1] == ["worker"]
        wrong += path_problems(settings, container.mounts, worker=worker)
        grace = container.pod["spec"].get("terminationGracePeriodSeconds", 30)
        if worker and grace <= settings.shutdown_timeout_s:
            wrong.append(f"killed after {grace} s, while it may finish until shutdown_timeout_s")
        if container.spec["image"].partition(":")[2] in ("", "latest"):
            wrong.append(f"{container.spec['image']} is not one version")
        found += [f"{container.owner}: {problem}" for problem in wrong]
    return found


def probe_problems(manifests: list[Manifest]) -> list[str]:
    """Probes, services and monitors that ask another port or path than a worker answers."""
    answered = start_metrics_server(
        0, live=lambda: (True, ""), ready=lambda: (True, ""), registry=CollectorRegistry()
    )
    found = []
    paths = [
        (name_of(m), endpoint["path"])
        for m in manifests
        if m["kind"] == "ServiceMonitor"
        for endpoint in m["spec"]["endpoints"]
    ]
    for worker in workers(manifests):
        settings, _ = settings_of(worker.environment)
        ports = {port["name"]: port["containerPort"] for port in worker.spec["ports"]}
        if settings.metrics_host in ("127.0.0.1", "::1", "localhost"):
            found.append(f"{worker.owner}: metrics_host {settings.metrics_host} is only for itself")
        for probe in PROBES:
            asked = worker.spec[probe]["httpGet"]
            paths.append((f"{worker.owner}: {probe}", asked["path"]))
            if ports.get(asked["port"], asked["port"]) != settings.metrics_port:
                found.append(f"{worker.owner}: {probe}: the port is {settings.metrics_port}")
        for service in (m for m in manifests if m["kind"] == "Service"):
            labels = worker.pod["metadata"]["labels"]
            if service["spec"]["selector"].items() <= labels.items():
                found += [
                    f"{name_of(service)}: no container has {port['targetPort']}"
                    for port in service["spec"]["ports"]
                    if ports.get(port["targetPort"]) != settings.metrics_port
                ]
    names = {
        port["name"] for m in manifests if m["kind"] == "Service" for port in m["spec"]["ports"]
    }
    for monitor in (m for m in manifests if m["kind"] == "ServiceMonitor"):
        wrong = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} - names
        found += [f"{name_of(monitor)}: no service has the port {port}" for port in wrong]
    found += [
        f"{name}: a worker has no {path}"
        for name, path in paths
        if not _is_there(answered.port, path)
    ]
    answered.close()
    return found


def _is_there(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10):
            return True
    except urllib.error.HTTPError as error:
        return error.code != 404


def security_problems(manifests: list[Manifest]) -> list[str]:
    """What the profile `restricted` of the Pod Security Standards asks, and a little more."""
    found = []
    for owner, pod in pods(manifests):
        spec = pod["spec"]
        context = spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            found.append(f"{owner}: may run as root")
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            found.append(f"{owner}: has no seccomp profile")
        if spec.get("automountServiceAccountToken") is not False:
            found.append(f"{owner}: gets a token of the API server")
        if spec.get("enableServiceLinks") is not False:
            found.append(f"{owner}: gets variables of services, which may look like settings")
        for container in spec["containers"]:
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False:
                found.append(f"{owner}: may gain rights")
            if own.get("capabilities") != {"drop": ["ALL"]}:
                found.append(f"{owner}: keeps capabilities")
            if "memory" not in container["resources"].get("limits", {}):
                found.append(f"{owner}: has no limit of memory")
    for container in containers(manifests):
        if container.spec["securityContext"].get("readOnlyRootFilesystem") is not True:
            found.append(f"{container.owner}: can write to its image")
        if "/tmp" not in container.mounts:
            found.append(f"{container.owner}: has no /tmp, which a worker needs at its start")
    return found


def network_problems(manifests: list[Manifest]) -> list[str]:
    """A policy that keeps Prometheus or Kafka away."""
    policy = one(manifests, "NetworkPolicy", "stream-app")["spec"]
    inward = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    outward = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    found = []
    for container in containers(manifests):
        settings, _ = settings_of(container.environment)
        brokers = settings.bootstrap_servers.split(",")
        wanted = {int(server.rpartition(":")[2]) for server in brokers}
        if not wanted <= outward:
            found.append(f"{container.owner}: may not reach {settings.bootstrap_servers}")
        if container.arguments[:1] == ["worker"] and inward != {settings.metrics_port}:
            found.append(f"{container.owner}: may be reached at {inward}")
    return found
