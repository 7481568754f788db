"""Looks up every locked package in the advisory database, and never claims more than it did.

Where the database cannot be reached, or knows none of the packages (a mirror that serves packages
but no advisories), it says "not audited" and passes, so that `make check` works offline. With
AUDIT_REQUIRED=1, as a scheduled job should have it, only a complete audit passes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

LOCK = "requirements.lock"
LIMIT_S = 15
"""For the whole audit: a check before every commit must not wait for a slow network."""
REQUIRED_LIMIT_S = 600

ACCEPTED: Mapping[str, str] = {}
"""Advisories that do not apply here, by id, each with the reason."""


def main() -> int:
    """Exit code: 0 = nothing known, or not audited and not required; 1 otherwise."""
    required = os.environ.get("AUDIT_REQUIRED") == "1"
    report = look_up(REQUIRED_LIMIT_S if required else LIMIT_S)
    code, lines = judge(report, required=required)
    print("\n".join(lines), file=sys.stderr if code else sys.stdout)
    return code


def look_up(limit_s: float) -> dict[str, Any] | str:
    """What pip-audit reports on the lock file, or why there is no report."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", LOCK, "--require-hashes",
        "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "5",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return f"the advisory service took longer than {limit_s:.0f} s"
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        return (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1][:200]
    return report


def judge(report: dict[str, Any] | str, *, required: bool) -> tuple[int, list[str]]:
    """Exit code and what to say."""
    if isinstance(report, str):
        return int(required), [f"dependencies not audited: {report}"]
    packages = report["dependencies"]
    audited = [package for package in packages if "vulns" in package]
    skipped = [package["name"] for package in packages if "vulns" not in package]
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability['fix_versions']) or 'no release yet'}"
        for package in audited
        for vulnerability in package["vulns"]
        if not {vulnerability["id"], *vulnerability.get("aliases", ())} & ACCEPTED.keys()
    ]
    if found:
        return 1, ["known vulnerabilities in locked packages:", *found]
    if not audited:
        why = f"the advisory service knows none of the {len(skipped)} packages"
        return int(required), [f"dependencies not audited: {why}"]
    lines = [f"{len(audited)} locked packages audited, no known vulnerability"]
    if skipped:
        lines.append(f"dependencies not audited, unknown to the service: {', '.join(skipped)}")
    return int(required and bool(skipped)), lines


if __name__ == "__main__":
    sys.exit(main())
