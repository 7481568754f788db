"""Whether a row holds its events in order: by event time, and equal times as on their topic."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

from schemas.codec import MAX_CLOCK_SKEW_MS
from stream_app.users.ids import id_digest
from stream_app.verify.case import Case, pack, place_of, time_of
from stream_app.verify.events import Event
from stream_app.verify.report import Finding, Kind

Key = TypeVar("Key", bound=Hashable)


def misordered(case: Case, ring: Sequence[bytes]) -> Iterator[Finding]:
    """Findings about the order of the ring and of the remembered ids."""
    times = [time_of(packed) for packed in ring]
    wrong = sum(first > second for first, second in pairwise(times))
    if wrong:
        detail = "the history is not in order of event time"
        yield case.found(Kind.MISORDERED, detail, count=wrong)
    elif len(set(times)) < len(times):
        yield from _ties(case, ring, times)
    ids = case.remembered_ids()
    if ids and (case.whole or not case.row.duplicates):  # else it may be the id of a hidden event
        named = [e for e in case.events if e.applied.event_id is not None]
        known = _unique(named, [id_digest(e.applied.event_id or "") for e in named])
        for earlier, later in _swapped([known[digest] for digest in ids if digest in known]):
            detail = f"its id was remembered before that of {place_of(earlier)}"
            yield case.found(Kind.MISORDERED, detail, later)


def _ties(case: Case, ring: Sequence[bytes], times: Sequence[int]) -> Iterator[Finding]:
    known = _unique(case.events, [pack(event.applied) for event in case.events])
    start = 0
    for end in range(1, len(ring) + 1):
        if end < len(ring) and times[end] == times[start]:
            continue
        visible = case.whole or times[start] > case.begin_ms + MAX_CLOCK_SKEW_MS
        tied = [known[packed] for packed in ring[start:end] if packed in known and visible]
        for earlier, later in _swapped(tied):
            detail = f"stands before {place_of(earlier)}, which has the same event time"
            yield case.found(Kind.MISORDERED, detail, later)
        start = end


def _unique(events: Sequence[Event], keys: Sequence[Key]) -> dict[Key, Event]:
    """Events by key, without keys that several share: which of them it is cannot be told."""
    known: dict[Key, Event] = {}
    shared: set[Key] = set()
    for event, key in zip(events, keys, strict=True):
        if key in known:
            shared.add(key)
        known[key] = event
    return {key: event for key, event in known.items() if key not in shared}


def _swapped(events: Sequence[Event]) -> Iterator[tuple[Event, Event]]:
    """Pairs (earlier, later on the topic) of neighbours of one source in the wrong order."""
    last: dict[int, Event] = {}
    for event in events:
        before = last.get(event.source)
        if before is not None and event.offset < before.offset:
            yield event, before
        last[event.source] = event
