"""Whether a row holds exactly its events: none missing, none twice, none of unknown origin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from schemas.codec import MAX_CLOCK_SKEW_MS
from stream_app.users.state import HISTORY_LENGTH
from stream_app.verify.case import Case, pack, time_of
from stream_app.verify.duplicates import Fate, Fates
from stream_app.verify.events import OPEN, Event
from stream_app.verify.report import Finding, Kind


def content_findings(case: Case, fates: Fates, ring: Sequence[bytes]) -> Iterator[Finding]:
    """Findings about single events, and about numbers of events where none can be named."""
    packed = [pack(event.applied) for event in case.events]
    held = Counter(ring)
    surplus = list(_surplus(case, fates, packed, held))
    missing = list(_missing(case, fates, packed, held, ring))
    yield from surplus
    yield from missing
    named = {Kind.LOST: 0, Kind.DUPLICATED: 0, Kind.ALTERED: 0}
    for finding in (*surplus, *missing):
        named[finding.kind] += finding.count
    yield from _totals(case, named)


def _surplus(
    case: Case, fates: Fates, packed: Sequence[bytes], held: Counter[bytes]
) -> Iterator[Finding]:
    """Entries of the ring that are there more often than they can be."""
    at_most = Counter(p for p, f in zip(packed, fates.of, strict=True) if f is Fate.APPLIED)
    for choice in fates.choices:
        members = Counter(packed[at] for at in choice.members)
        for entry, copies in members.items():
            at_most[entry] += min(copies, choice.most)
    dead = {pack(event.applied): event for event in case.dead}
    for entry, copies in held.items():
        extra = copies - at_most[entry]
        if extra <= 0:
            continue
        known = [event for event, p in zip(case.events, packed, strict=True) if p == entry]
        if entry in dead:
            yield case.found(Kind.DUPLICATED, "a dead letter, and applied", dead[entry], extra)
        elif not case.whole and time_of(entry) <= case.begin_ms + MAX_CLOCK_SKEW_MS:
            continue  # an event of the same content may be hidden before the range
        elif known:
            detail = f"{copies} times in the history"
            yield case.found(Kind.DUPLICATED, detail, known[-1], extra)
        elif case.whole:
            detail = f"an entry of the history (event time {time_of(entry)}) that no event gave"
            yield case.found(Kind.ALTERED, detail, None, extra)


def _missing(
    case: Case, fates: Fates, packed: Sequence[bytes], held: Counter[bytes], ring: Sequence[bytes]
) -> Iterator[Finding]:
    """Events that must be in the ring and are not."""
    full = case.row.events >= HISTORY_LENGTH and bool(ring)
    # Of events as old as the oldest of a full ring, some have left it.
    oldest_ms = time_of(ring[0]) if full else -1
    needed: Counter[bytes] = Counter()
    copies: dict[bytes, list[Event]] = {}
    for event, entry, fate in zip(case.events, packed, fates.of, strict=True):
        if fate is Fate.APPLIED and event.applied.timestamp_ms > oldest_ms:
            needed[entry] += 1
            copies.setdefault(entry, []).append(event)
    for entry, count in needed.items():
        for event in copies[entry][: max(0, count - held[entry])]:
            yield case.found(Kind.LOST, "passed by the row, and not in it", event)
    yield from _absent(case, fates, packed, held, oldest_ms)


def _absent(
    case: Case, fates: Fates, packed: Sequence[bytes], held: Counter[bytes], oldest_ms: int
) -> Iterator[Finding]:
    """Events of uncertain fate that are missing more often than duplicates can explain."""
    excused = 0
    for choice in fates.choices:
        members = [case.events[at] for at in choice.members]
        present = any(held[packed[at]] for at in choice.members)
        gone = any(event.applied.timestamp_ms <= oldest_ms for event in members)
        if present or gone or members[0].flags & OPEN:
            continue
        # With a whole history, only what must be applied can be missing; otherwise each may be the
        # duplicate of an event before the range, as often as the row has counted duplicates.
        if not choice.least:
            excused += 1
            if case.whole or excused <= case.row.duplicates:
                continue
        yield case.found(Kind.LOST, "passed by the row, and not in it", members[0])


def _totals(case: Case, named: dict[Kind, int]) -> Iterator[Finding]:
    """Every event that a row has passed is counted as an event or as a duplicate."""
    counted = case.row.events + case.row.duplicates
    unsure = sum(bool(event.flags) for event in case.events)
    missing = len(case.events) - unsure - counted - named[Kind.LOST]
    if missing > 0:
        detail = f"the row has counted {counted} events of {len(case.events)} that it has passed"
        yield case.found(Kind.LOST, detail, count=missing)
    extra = counted - len(case.events) - named[Kind.DUPLICATED] - named[Kind.ALTERED]
    if case.whole and extra > 0:
        detail = f"the row has counted {counted} events and has passed only {len(case.events)}"
        yield case.found(Kind.DUPLICATED, detail, count=extra)
