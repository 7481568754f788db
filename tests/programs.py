"""Programs that tests run and Python packages do not bring: browsers, Prometheus, compilers."""

from __future__ import annotations

import os
import shutil

import pytest

INSTALL = {
    "bash": "apt-get install bash",
    "chromium": "apt-get install chromium",
    "go": "install Go",
    "javac": "apt-get install default-jdk-headless",
    "kustomize": "go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1",
    "node": "apt-get install nodejs",
    "npm": "apt-get install npm",
    "prometheus": "apt-get install prometheus",
    "promtool": "apt-get install prometheus",
}


def program(name: str) -> str:
    """The path of a program; without it the test is skipped, or fails where CI=true is set."""
    path = shutil.which(name)
    if path is not None:
        return path
    why = f"{name} is not there: {INSTALL[name]}"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)
