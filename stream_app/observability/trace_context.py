"""The W3C Trace Context in headers, and where spans may go: what needs no OpenTelemetry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

Headers = Sequence[tuple[str, bytes | None]]

HEADERS = ("traceparent", "tracestate")
_TRACEPARENT = re.compile(
    rb"((?!ff)[0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?"
)
LONGEST_BYTES = 512
"""What W3C asks everybody to pass on of a `tracestate`; longer headers are not read."""


class Carried(NamedTuple):
    """What the headers of a record say of its trace."""

    headers: list[tuple[str, bytes]]
    """Those that are to be passed on, as they are."""
    sampled: bool


def carried(headers: Headers) -> Carried | None:
    """The W3C trace context in the headers of a record; None without a valid one."""
    kept: dict[str, bytes] = {}
    for name, value in headers:
        if value and name in HEADERS and len(value) <= LONGEST_BYTES:
            kept.setdefault(name, value)
    found = _TRACEPARENT.fullmatch(kept.get(HEADERS[0], b""))
    if found is None or (found[1] == b"00" and found[3]):
        return None
    return Carried(list(kept.items()), bool(int(found[2], 16) & 1))


def endpoint_problem(endpoint: str) -> str | None:
    """What is wrong with a `trace_endpoint`, without showing a password in it; None if nothing."""
    if not endpoint:
        return None
    if "@" in endpoint or "?" in endpoint:
        return (
            "trace_endpoint holds a login or a query, which logs could show; set "
            "OTEL_EXPORTER_OTLP_HEADERS in the environment"
        )
    try:
        parts = urlsplit(endpoint)
        _ = parts.port
    except ValueError:
        return "trace_endpoint is no URL; write http://HOST:4318"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"trace_endpoint is {endpoint!r}; write http://HOST:4318"
    return None
