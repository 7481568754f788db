"""Why a message is turned away: one code for metrics and operators, one sentence for a human."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reason codes of dead letters; they are metric labels, so the set stays small and stable."""

    DECODE_ERROR = "decode_error"
    """The bytes are neither a MessagePack map nor a JSON object."""
    VALIDATION_ERROR = "validation_error"
    """A field is missing or wrong, or the record key is not the message's user."""
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    """The event claims to happen later than the clock allows."""
    TOO_LARGE = "too_large"
    """The value is larger than any honest event."""
    PROCESSING_ERROR = "processing_error"
    """The message is fine; applying it failed."""


class RejectedMessage(ValueError):  # noqa: N818 - it names what happened to the message
    """A message that must go to the dead letters instead of to a user's state."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
