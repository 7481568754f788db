"""What a request asks for and cannot have."""

from __future__ import annotations

from typing import Any

from schemas import MAX_ID_BYTES

MAX_TEXT = 200
"""Characters of a search."""


class Problem(Exception):  # noqa: N818 - it becomes an answer
    """The text says what was wrong; `hint` what to do, `more` is said beside it."""

    def __init__(self, status: int, error: str, hint: str | None, **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.hint = hint
        self.more = more


def checked_id(name: str, value: str) -> str:
    """An id that a message could have. Raises `Problem`."""
    size = len(value.encode())
    if not 1 <= size <= MAX_ID_BYTES:
        raise Problem(400, f"{name} has {size} bytes", f"1 to {MAX_ID_BYTES} are valid")
    return value


def checked_text(name: str, value: str) -> str:
    """What is looked for. Raises `Problem`."""
    text = value.strip()
    if not 1 <= len(text) <= MAX_TEXT:
        raise Problem(400, f"{name} has {len(text)} characters", f"1 to {MAX_TEXT} are valid")
    return text
