"""Compares one user's row with the events it must be made of. Pure; no Kafka, no clock.

Most rows are equal, field by field, to what `apply` makes of the events in about the order of their
arrival. Where they are not, the order between the source topics may have been another: then only
what every order has in common is demanded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from stream_app.users.state import Outcome, UserState, apply
from stream_app.verify.case import Case
from stream_app.verify.content import content_findings
from stream_app.verify.counters import counter_findings
from stream_app.verify.duplicates import fates_of
from stream_app.verify.events import OPEN, Event
from stream_app.verify.order import misordered
from stream_app.verify.report import Finding, Kind

_SPLITS = 500
"""Ways to divide a row's events between two topics that are tried after a removal."""


def compare(case: Case) -> list[Finding]:
    """What is wrong with a row; nothing, for a row that some order of arrival explains."""
    if case.whole and equals_replay(case):
        return []
    fates = fates_of(case.events, hidden_duplicates=0 if case.whole else case.row.duplicates)
    ring = case.ring()
    content = list(content_findings(case, fates, ring))
    return [
        *content,
        *misordered(case, ring),
        *counter_findings(case, fates, len(ring), named=bool(content)),
        *_offset_findings(case),
    ]


def compare_after_removal(case: Case) -> list[Finding]:
    """As `compare`, for a row that began after a tombstone: it holds the newest events only.

    How many of each topic is not on record, so every division of its number is tried.
    """
    handled = case.row.events + case.row.duplicates
    if handled >= len(case.events):
        return compare(case)
    newest = replace(case, events=case.events[-handled:] if handled else (), whole=True)
    best = compare(newest)
    for events in _divisions(case.events, handled):
        if not best:
            break
        found = compare(replace(case, events=events, whole=True))
        if len(found) < len(best):
            best = found
    return best


def equals_replay(case: Case) -> bool:
    """Whether `apply` makes the row of the events in the order in which they stand."""
    state = UserState()
    for event in case.events:
        if event.flags & OPEN:
            return False
        state, outcome = apply(state, event.applied)
        if outcome is Outcome.REPLAYED:
            return False
    row = case.row
    return (
        state.history == row.history
        and state.events == row.events
        and state.duplicates == row.duplicates
        and state.event_ids == row.event_ids
        and state.seen == row.seen
        and state.late == row.late
        and state.offsets == row.offsets
        and state.last_timestamp_ms == row.last_timestamp_ms
    )


def _divisions(events: Sequence[Event], handled: int) -> Iterator[list[Event]]:
    """The newest `handled` events, divided between the sources in every way (of two sources)."""
    sources = sorted({event.source for event in events})
    if len(sources) != 2:
        return
    first = [event for event in events if event.source == sources[0]]
    second = [event for event in events if event.source == sources[1]]
    low, high = max(0, handled - len(second)), min(handled, len(first))
    for of_first in range(low, min(high, low + _SPLITS) + 1):
        kept = {id(event) for event in first[len(first) - of_first :]}
        kept |= {id(event) for event in second[len(second) - (handled - of_first) :]}
        yield [event for event in events if id(event) in kept]


def _offset_findings(case: Case) -> Iterator[Finding]:
    """The last offset that a row has applied must be that of an event of its user."""
    last: dict[str, int] = {}
    for event in case.events:
        last[event.applied.source] = event.offset
    dead = {(event.applied.source, event.offset) for event in case.dead}
    for source, offset in case.row.offsets.items():
        if (source, offset) in dead:
            detail = f"{source}@{offset} is the row's last applied event and a dead letter"
            yield case.found(Kind.DUPLICATED, detail)
        elif case.whole and last.get(source) != offset:
            detail = f"the row has applied {source}@{offset}, which is no event of its user"
            yield case.found(Kind.ALTERED, detail)
