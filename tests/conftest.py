"""The order of the tests: what takes long begins first, so that no core is idle at the end."""

from __future__ import annotations

import pytest

LONG = (
    "integration/test_watchdog.py",
    "integration/test_security.py",
    "integration/test_broker.py",
)
"""Of these, test_watchdog waits for minutes; beside it the others run."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((n for n, name in enumerate(LONG) if path.endswith(name)), len(LONG))

    items.sort(key=rank)
