"""Filters by name, each with how long it holds: `bought,clicked:30d`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from stream_app.durations import parse_duration

SHOWN, SERVED = "shown", "served"
"""Filters that need something remembered: impressions, and the lists after events."""
KNOWN = ("bought", "clicked", SHOWN, SERVED)


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


def remembers(filters: Iterable[str], name: str) -> bool:
    """Whether one of these filters, names with or without a duration, is of this name."""
    return any(parse_filter(text).name == name for text in filters)


Within = Mapping[str, int | None]
"""How far back (ms) what is remembered is looked at, by `SHOWN` and `SERVED`; None is all of it."""
ALL_OF_IT: Within = {SHOWN: None, SERVED: None}


@lru_cache(maxsize=1024)
def looked_at(plans: frozenset[tuple[str, ...]]) -> Within:
    """As far back as any filter of some plans asks for."""
    within: dict[str, int | None] = {}
    for name, limit_ms in (parse_filter(text) for filters in plans for text in filters):
        if name in (SHOWN, SERVED):
            known = within.get(name, 0)
            within[name] = None if None in (known, limit_ms) else max(known or 0, limit_ms or 0)
    return within


def check_remembered(filters: Iterable[str], of_worker: Iterable[str]) -> None:
    """Raise `ValueError` for a filter that needs what the rows of a worker do not hold."""
    filters, of_worker = tuple(filters), tuple(of_worker)
    for name in (SHOWN, SERVED):
        if remembers(filters, name) and not remembers(of_worker, name):
            raise ValueError(
                f"filter {name!r} needs a worker with it in the setting `filters`, for rows to "
                f"remember what was {name}; {name}:0s there remembers and keeps nothing out"
            )
