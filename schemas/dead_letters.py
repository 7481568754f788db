"""Build the dead letter of a rejected record so that it always fits on its topic.

A record of any size can arrive (a compressed batch holds far more than the broker's limit of
1 MiB says), and a dead letter that the broker refuses would stop the partition for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.codec import MAX_VALUE_BYTES
from schemas.errors import RejectedMessage
from schemas.messages import DeadLetter

FIRST_APPENDED = "first-appended-ms"
"""Header of a record that is sent again: when Kafka appended it first, Unix ms in ASCII. An erasure
that came in between applies to it."""

KEPT_VALUE_BYTES = 16 * 1024
"""What is kept of a value above `MAX_VALUE_BYTES`: enough to see what it was. It is cut in any case
and can never be applied, and a flood of them must cost less to turn away than to send."""

# Together with a whole value they stay below the broker's default limit of 1 MiB, even as base64
# in JSON. Only a value that was too large to be applied is ever cut.
_MAX_KEY_BYTES = 4 * 1024
_MAX_HEADERS_BYTES = 64 * 1024
_HEADER_OVERHEAD_BYTES = 16
_MAX_DETAIL = 2_000

Headers = Sequence[tuple[str, bytes | None]]


def dead_letter(
    rejected: RejectedMessage,
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers = (),
) -> DeadLetter:
    """Wrap the original record; what had to be cut is named in `truncated`."""
    truncated = []
    if key is not None and len(key) > _MAX_KEY_BYTES:
        key = key[:_MAX_KEY_BYTES]
        truncated.append("key")
    if value is not None and len(value) > MAX_VALUE_BYTES:
        value = value[:KEPT_VALUE_BYTES]
        truncated.append("value")
    kept = tuple(_fitting(headers))
    if len(kept) < len(headers):
        truncated.append("headers")
    return DeadLetter(
        reason=rejected.reason.value,
        detail=rejected.detail[:_MAX_DETAIL],
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=timestamp_ms,
        key=key,
        value=value,
        headers=kept,
        truncated=tuple(truncated),
    )


def dead_letter_headers(letter: DeadLetter) -> list[tuple[str, bytes]]:
    """Kafka headers by which tools can sort dead letters without decoding them."""
    return [
        ("reason", letter.reason.encode()),
        ("topic", letter.topic.encode()),
        ("partition", str(letter.partition).encode()),
        ("offset", str(letter.offset).encode()),
    ]


def _fitting(headers: Headers) -> Iterable[tuple[str, bytes | None]]:
    room = _MAX_HEADERS_BYTES
    for name, value in headers:
        room -= len(name.encode()) + len(value or b"") + _HEADER_OVERHEAD_BYTES
        if room < 0:
            return
        yield name, value
