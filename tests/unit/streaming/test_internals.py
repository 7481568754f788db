"""Another release of Faust or aiokafka is noticed before it can lose an event."""

import subprocess
import sys
from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.streaming import internals

SOURCE = Path(internals.__file__).parent


def test_the_installed_releases_are_the_pinned_ones() -> None:
    internals.check_versions()


def test_the_package_demands_the_releases_that_the_worker_demands() -> None:
    project = (SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    for package, version in internals.PINNED.items():
        assert f'"{package}=={version}"' in project


def test_another_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internals, "PINNED", {"aiokafka": "0.1.0"})
    with pytest.raises(UserError, match=r"install aiokafka==0\.1\.0"):
        internals.check_versions()


def test_every_private_name_still_exists() -> None:
    """In a process of its own: tests before this one may have replaced some of them."""
    code = "from stream_app.streaming import internals; print(internals.missing_names())"
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_vanished_private_name_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = internals.PrivateUse("faust.streams:Stream", "_no_such_name", "batches.py", "a test")
    monkeypatch.setattr(internals, "PRIVATE_USES", (gone,))
    assert internals.missing_names() == [gone]


@pytest.mark.parametrize("use", internals.PRIVATE_USES, ids=lambda use: use.name)
def test_every_listed_use_is_real(use: internals.PrivateUse) -> None:
    assert use.name in (SOURCE / use.used_in).read_text(encoding="utf-8")
