"""Filters by name, each with how long it holds: `bought,clicked:30d`."""

from __future__ import annotations

from typing import NamedTuple

from stream_app.durations import parse_duration

KNOWN = ("bought", "clicked")


class FilterName(NamedTuple):
    """One filter as it was asked for."""

    name: str
    return_after_ms: int | None
    """How long after an event its item may be recommended again; None is never."""


def parse_filter(text: str) -> FilterName:
    """`name`, or `name:duration`. Raises `ValueError` that says what is wrong."""
    name, colon, duration = text.partition(":")
    if name not in KNOWN:
        raise ValueError(f"filter {name!r} is unknown; use some of: {', '.join(KNOWN)}")
    if not colon:
        return FilterName(name, None)
    return_after_ms = parse_duration(duration)
    if return_after_ms is None:
        raise ValueError(
            f"filter {text!r}: {duration!r} is no duration; write 90s, 15m, 2h or 30d, or leave "
            "it out to keep items out for ever"
        )
    return FilterName(name, return_after_ms)
