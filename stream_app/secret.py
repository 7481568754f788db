"""A value that must not be seen: it prints as stars wherever it lands."""

from __future__ import annotations

import hmac

MASK = "***"


class Secret:
    """Holds a text that log lines, reprs, tracebacks and f-strings do not show.

    It is no `str`, so that nothing prints, joins or encodes it by accident; `reveal` is the only
    way to the text, and easy to search for.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the library or the child process that needs it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return f"Secret({MASK!r})" if self._text else "Secret('')"

    def __str__(self) -> str:
        return MASK if self._text else ""


def masked(text: str, *secrets: Secret) -> str:
    """The text with every occurrence of the secrets replaced: for messages of other programs."""
    for secret in secrets:
        if secret:
            text = text.replace(secret.reveal(), MASK)
    return text
