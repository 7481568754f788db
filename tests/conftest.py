"""The order of the tests, and what a command that is called within one changes for the process."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from stream_app.observability.logging import _State

LONG = (
    "integration/test_watchdog.py",
    "integration/test_security.py",
    "integration/test_broker.py",
)
"""Of these, test_watchdog waits for minutes; beside it the others run."""


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """A command sets up logging and signals for the process that it believes to be its own."""
    root, manager = logging.root, logging.root.manager
    loggers = [one for one in manager.loggerDict.values() if isinstance(one, logging.Logger)]
    levels = [(logger, logger.level) for logger in (root, *loggers)]
    hooks = sys.excepthook, threading.excepthook, signal.getsignal(signal.SIGTERM)
    state, handlers = dict(vars(_State)), list(root.handlers)
    yield
    if vars(_State) == state:
        return
    for name in ("format", "user_ids", "context"):
        setattr(_State, name, state[name])
    for logger, level in levels:
        logger.setLevel(level)
    root.handlers[:] = handlers
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook, terminate = hooks
    signal.signal(signal.SIGTERM, terminate)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no core is idle at the end."""

    def rank(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((n for n, name in enumerate(LONG) if path.endswith(name)), len(LONG))

    items.sort(key=rank)
