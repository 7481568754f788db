"""What an examination found; the fields are those that `doctor --json` prints."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["error", "warning"]
"""An error stops a worker or loses something; a warning will, when something else happens."""


class Finding(msgspec.Struct, kw_only=True):
    """One thing that is not as it must be."""

    check: str
    severity: Severity = "error"
    what: str
    why: str
    """What happens if it stays."""
    fix: str
    """What to do, in words."""
    command: str | None = None
    """The command that does it, where there is one."""


class Report(msgspec.Struct):
    """One examination."""

    findings: list[Finding] = []
    checked: list[str] = []
    """Checks that were made."""
    not_checked: dict[str, str] = {}
    """Checks that could not be made, or not in full, and why."""

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class NotChecked(Exception):  # noqa: N818 - it is no error
    """A check does not apply, or cannot be made; the message says why."""
