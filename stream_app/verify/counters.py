"""Whether a row's counters, remembered items and remembered ids agree with its events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from stream_app.users.actions import PURCHASE
from stream_app.users.ids import id_digest
from stream_app.users.state import (
    EVENT_BYTES,
    EVENT_IDS,
    HISTORY_LENGTH,
    SEEN_DTYPE,
    SEEN_LENGTH,
    events_of,
    seen_entry,
)
from stream_app.verify.case import Case
from stream_app.verify.duplicates import Fate, Fates
from stream_app.verify.events import Event
from stream_app.verify.report import Finding, Kind


def counter_findings(case: Case, fates: Fates, in_ring: int, *, named: bool) -> Iterator[Finding]:
    """Findings about what a row says of its events; `named` events are not told again."""
    ids = case.remembered_ids()
    twice = len(ids) - len(set(ids))
    if twice:
        yield case.found(Kind.DUPLICATED, "an event id is remembered twice", count=twice)
    if named:
        return
    row = case.row
    kept = min(row.events, HISTORY_LENGTH)
    if in_ring != kept:
        kind = Kind.LOST if in_ring < kept else Kind.DUPLICATED
        detail = f"the history holds {in_ring} events where the row's counter asks for {kept}"
        yield case.found(kind, detail, count=abs(in_ring - kept))
        return
    newest_ms = int(events_of(row.history)["timestamp_ms"][-1]) if in_ring else 0
    if row.last_timestamp_ms != newest_ms:
        detail = f"last_timestamp_ms is {row.last_timestamp_ms}, of the newest event {newest_ms}"
        yield case.found(Kind.ALTERED, detail)
    if case.whole:
        yield from _counts(case, fates)
        yield from _seen(case, fates)
        yield from _ids(case, fates, ids)


def _counts(case: Case, fates: Fates) -> Iterator[Finding]:
    row = case.row
    if row.events > fates.most:
        detail = f"{row.events} events were applied, {fates.most} can be no duplicates"
        yield case.found(Kind.DUPLICATED, detail, count=row.events - fates.most)
    elif row.events < fates.least:
        detail = f"{row.events} events were applied of at least {fates.least}"
        yield case.found(Kind.LOST, detail, count=fates.least - row.events)
    low, high = _late_bounds(case, fates)
    if not low <= row.late <= high:
        detail = f"{row.late} late events were counted; it must be {low} to {high}"
        yield case.found(Kind.ALTERED, detail)


def _late_bounds(case: Case, fates: Fates) -> tuple[int, int]:
    """How many events were late, whatever the order between the topics."""
    newest: dict[int, int] = {}
    for event in case.events:
        at_ms = event.applied.timestamp_ms
        newest[event.source] = max(newest.get(event.source, at_ms), at_ms)
    sure: dict[int, int] = {}
    before: dict[int, int] = {}
    low = high = 0
    for event, fate in zip(case.events, fates.of, strict=True):
        if fate is Fate.DROPPED:
            continue
        source, at_ms = event.source, event.applied.timestamp_ms
        others = max((ms for other, ms in newest.items() if other != source), default=-1)
        high += at_ms < max(others, before.get(source, -1))
        before[source] = max(before.get(source, -1), at_ms)
        if fate is Fate.APPLIED:
            low += at_ms < sure.get(source, -1)
            sure[source] = max(sure.get(source, -1), at_ms)
    return low, high


def _seen(case: Case, fates: Fates) -> Iterator[Finding]:
    """Items of events that left the ring; with the ring's, those of all events."""
    row = case.row
    remembered = np.frombuffer(row.seen, SEEN_DTYPE).tolist()
    left = row.events - len(row.history) // EVENT_BYTES
    if len(remembered) != min(left, SEEN_LENGTH):
        detail = f"{left} events have left the history, {len(remembered)} items are remembered"
        yield case.found(Kind.ALTERED, detail)
        return
    held = Counter(remembered)
    for item, _, action, _ in events_of(row.history).tolist():
        held[seen_entry(item, action == PURCHASE)] += 1
    most: Counter[int] = Counter()
    least: dict[int, list[Event]] = {}
    for event, fate in zip(case.events, fates.of, strict=True):
        entry = seen_entry(event.applied.item, event.applied.action == PURCHASE)
        most[entry] += fate is not Fate.DROPPED
        if fate is Fate.APPLIED:
            least.setdefault(entry, []).append(event)
    for entry, copies in held.items():
        if copies > most[entry]:
            kind = Kind.DUPLICATED if most[entry] else Kind.ALTERED
            detail = f"an item of {most[entry]} events stands {copies} times in the row"
            yield case.found(kind, detail, count=copies - most[entry])
    if left <= SEEN_LENGTH:
        for entry, events in least.items():
            for event in events[held[entry] :]:
                yield case.found(Kind.LOST, "passed by the row, its item not in it", event)


def _ids(case: Case, fates: Fates, ids: list[bytes]) -> Iterator[Finding]:
    named = [
        (id_digest(event.applied.event_id), fate)
        for event, fate in zip(case.events, fates.of, strict=True)
        if event.applied.event_id is not None
    ]
    applied = {digest for digest, fate in named if fate is Fate.APPLIED}
    unknown = set(ids) - {digest for digest, _ in named}
    if unknown:
        detail = f"{len(unknown)} remembered event ids are those of no event of the user"
        yield case.found(Kind.ALTERED, detail, count=len(unknown))
    if len(named) <= EVENT_IDS and not applied <= set(ids):
        count = len(applied - set(ids))
        yield case.found(Kind.ALTERED, f"{count} event ids are not remembered", count=count)
