"""How a worker ends when it must not go on: at once, with a code and one line that names the cause.

The orderly shutdown of the framework can itself hang, and a process that lives without working is
worse than one that is restarted; so a fatal condition leaves by `os._exit` after the line is out.
Restarting is always safe: nothing is committed before it is durable (docs/delivery.md).
"""

from __future__ import annotations

import os
import sys
from enum import IntEnum
from typing import NoReturn

from stream_app.observability.logging import last_words, told


class ExitCode(IntEnum):
    """Exit codes of `stream-app worker`; `docs/delivery.md` lists them."""

    CONFIGURATION = 2
    """Wrong setting, missing or damaged bundle, missing or unequal topics."""
    NO_BROKER = 3
    """Kafka does not answer."""
    PROCESSING = 70
    """An exception that no rule foresees, while a batch was handled."""
    OFFSET_HOLE = 71
    """The next event of a partition is not the one that must follow."""
    STUCK = 75
    """The watchdog saw no progress."""


def die(
    code: ExitCode, what: str, error: BaseException | None = None, stack: str | None = None
) -> NoReturn:
    """End the process now, whatever else is running, after saying why on stderr.

    What the `error` is, is said after `what`; `stack` stands for its traceback where it has none.
    """
    if error is not None:
        what = f"{what}: {told(error)}"
    text = f"stream-app: fatal: {what} (exit {int(code)}, {code.name.lower()})"
    last_words(what, text, int(code), error, stack)
    sys.stdout.flush()
    os._exit(int(code))
