"""The checks of the lock file: what they let through, and that they claim no more than they did."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HASH = f"    --hash=sha256:{'0' * 64}\n"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "tools" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(name: str, *advisories: str) -> dict[str, Any]:
    vulns = [{"id": advisory, "fix_versions": ["2"], "aliases": []} for advisory in advisories]
    return {"name": name, "version": "1", "vulns": vulns}


SKIPPED = {"name": "private", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("report", "code", "required_code", "clean", "said"),
    [
        ("no route to host", 0, 1, False, "dependencies not audited: no route to host"),
        ([SKIPPED], 0, 1, False, "not audited: the advisory service knows none of the 1 packages"),
        (
            [package("a"), package("b")],
            0,
            0,
            True,
            "2 locked packages audited, no known vulnerability",
        ),
        ([package("a"), SKIPPED], 0, 1, True, "not audited, unknown to the service: private"),
        ([package("a", "PYSEC-1"), SKIPPED], 1, 1, False, "a 1: PYSEC-1, fixed in 2"),
    ],
)
def test_an_audit_claims_no_more_than_it_did(
    audit: ModuleType, report: Any, code: int, required_code: int, clean: bool, said: str
) -> None:
    report = report if isinstance(report, str) else {"dependencies": report}
    assert audit.judge(report, required=True)[0] == required_code
    found, lines = audit.judge(report, required=False)
    assert found == code
    assert said in "\n".join(lines)
    assert ("no known vulnerability" in "\n".join(lines)) == clean


def test_an_accepted_advisory_is_passed_over(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "ACCEPTED", {"PYSEC-1": "the function is not used here"})
    report = {"dependencies": [package("a", "PYSEC-1")]}
    assert audit.judge(report, required=True)[0] == 0


def test_a_broken_audit_is_no_report(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip-audit itself, on a lock file that is not there."""
    monkeypatch.chdir(tmp_path)
    report = audit.look_up(60)
    assert isinstance(report, str)
    assert "requirements.lock" in report
    assert audit.judge(report, required=True)[0] == 1


def lock_check(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "requirements.lock").write_text(text)
    return run_lock_check(folder)


def run_lock_check(folder: Path) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "tools" / "check-lock.sh")
    return subprocess.run(["sh", script], cwd=folder, capture_output=True, text=True, check=False)


def test_the_lock_of_this_repository_passes() -> None:
    result = run_lock_check(ROOT)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "text",
    [
        f"a==1 \\\n{HASH}",
        f"a==1 \\\n{HASH}b[x]==2.0 ; sys_platform == 'linux' \\\n{HASH}",
        f"# a comment\nA_b.c==1 \\\n{HASH}",
    ],
)
def test_pinned_and_hashed_passes(tmp_path: Path, text: str) -> None:
    result = lock_check(tmp_path, text)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a==1\n", "a==1"),
        (f"a==1 \\\n{HASH}b==2\n", "b==2"),
        (f"b==2\na==1 \\\n{HASH}", "b==2"),
        (f"a>=1 \\\n{HASH}", "a>=1"),
        (f"a \\\n{HASH}", "a"),
        (f"a==1.* \\\n{HASH}", "a==1.*"),
        (f"A===1 \\\n{HASH}", "A===1"),
        (f"a @ file:a.whl \\\n{HASH}", "a @ file"),
        ("-e .\n", "-e ."),
        ("--index-url x\n", "--index-url"),
        (f"a @ git+https://x/a \\\n{HASH}", "https://"),
        ("a==1 \\\n    --hash=md5:0\n", "a==1"),
        ("", "empty"),
    ],
)
def test_anything_else_in_the_lock_is_refused(tmp_path: Path, text: str, named: str) -> None:
    result = lock_check(tmp_path, text)
    assert result.returncode == 1
    assert named in result.stdout + result.stderr
