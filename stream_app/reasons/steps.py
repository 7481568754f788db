"""Work that stands still now and then, so that something else can be done in between."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
Steps = Generator[None, None, Result]
"""What it returns is the result."""


def finished(steps: Steps[Result]) -> Result:
    """Go through the steps without a stop."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
