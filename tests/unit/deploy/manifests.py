"""Kubernetes manifests, and the containers in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
RENDERED = ROOT / "k8s" / "rendered"
PLACEHOLDER = "from-a-secret"
OURS = "stream-app"

Manifest = dict[str, Any]


def overlays() -> list[str]:
    return sorted(path.name for path in (ROOT / "k8s" / "overlays").iterdir())


def rendered(overlay: str) -> list[Manifest]:
    text = (RENDERED / f"{overlay}.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def one(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """The only manifest of a kind, or of a kind and a name."""
    (found,) = (
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and (not name or manifest["metadata"]["name"] == name)
    )
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """The pod template of every workload, with the workload's name."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "CronJob":
            yield name_of(manifest), spec["jobTemplate"]["spec"]["template"]
        elif "template" in spec:
            yield name_of(manifest), spec["template"]


@dataclass(frozen=True)
class Container:
    """One container of ours, with what it gets."""

    owner: str
    pod: Manifest
    spec: Manifest
    environment: dict[str, str]

    @property
    def arguments(self) -> list[str]:
        return list(self.spec.get("args", []))

    @property
    def mounts(self) -> list[str]:
        return [mount["mountPath"] for mount in self.spec.get("volumeMounts", [])]


def containers(manifests: list[Manifest]) -> Iterator[Container]:
    """The containers of our images."""
    settings = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    for owner, pod in pods(manifests):
        for spec in pod["spec"]["containers"]:
            if spec["image"].rpartition("/")[2].startswith(OURS):
                environment: dict[str, str] = {}
                for source in spec.get("envFrom", []):
                    environment |= settings.get(source["configMapRef"]["name"], {})
                for entry in spec.get("env", []):
                    environment[entry["name"]] = entry.get("value", PLACEHOLDER)
                yield Container(owner, pod, spec, environment)


def workers(manifests: list[Manifest]) -> list[Container]:
    return [found for found in containers(manifests) if found.arguments[:1] == ["worker"]]
