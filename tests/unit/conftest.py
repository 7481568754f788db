"""Puts this directory on the import path, so that tests share helpers such as `onnx_step`.

It imports the package before any test can import ONNX Runtime, which the package keeps quiet.
"""

from collections.abc import Callable

import pytest

from stream_app.degradations import degradations


@pytest.fixture
def degraded_by() -> Callable[[], dict[str, int]]:
    """What was degraded since the test began, by kind."""
    before = degradations()

    def since() -> dict[str, int]:
        return {kind: n - before[kind] for kind, n in degradations().items() if n != before[kind]}

    return since
