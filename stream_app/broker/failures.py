"""Turn the log files of a broker that failed into one message that says why."""

from __future__ import annotations

import re
from pathlib import Path

from stream_app.broker.config import Layout

_TAIL_BYTES = 64 * 1024
_LINES = 12
# Indented lines are stack frames and listings; what is left are errors and exceptions.
_MINOR = re.compile(r"\s|\S+ (TRACE|DEBUG|INFO|WARN) ")
_PORT_TAKEN = "Address already in use"


def explain_failure(layout: Layout) -> str:
    """Return the message for a broker that did not start, or ended by itself."""
    log, output = _tail(layout.log_file), _tail(layout.output_file)
    severe = [line for line in log if not _MINOR.match(line)]
    lines = (severe or log)[-_LINES:] + output[-_LINES:]
    files = f"{layout.log_file.name} and {layout.output_file.name} in its data directory"
    return f"the embedded Kafka failed; {files} say:\n  " + "\n  ".join(lines or ["(nothing)"])


def port_was_taken(layout: Layout) -> bool:
    """Whether the broker failed because another process had one of its ports."""
    log = _tail(layout.log_file) + _tail(layout.output_file)
    return any(_PORT_TAKEN in line for line in log)


def _tail(path: Path) -> list[str]:
    """Last lines of a file that may be missing; at most 64 KiB are read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return [line for line in file.read().decode(errors="replace").splitlines() if line]
    except FileNotFoundError:
        return []
