"""Which events of a user are duplicates by `event_id`, as far as the topics alone can tell.

A row remembers the last 32 ids in order of arrival, and the order between two source topics is not
on record. So some events are surely applied, some surely dropped, and of others only the number is
bounded.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from stream_app.users.state import EVENT_IDS
from stream_app.verify.events import OPEN, Event


class Fate(Enum):
    """What must have become of an event that its row has passed."""

    APPLIED = "applied"
    DROPPED = "dropped"
    """A duplicate within the remembered ids."""
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Choice:
    """Events of which at least `least` and at most `most` were applied."""

    members: tuple[int, ...]
    least: int
    most: int


@dataclass(slots=True)
class Fates:
    """The fates of a list of events, by position."""

    of: list[Fate]
    choices: list[Choice] = field(default_factory=list)

    @property
    def least(self) -> int:
        """How many were applied at least."""
        return self.of.count(Fate.APPLIED) + sum(choice.least for choice in self.choices)

    @property
    def most(self) -> int:
        """How many were applied at most."""
        return self.of.count(Fate.APPLIED) + sum(choice.most for choice in self.choices)

    def choose(self, members: Sequence[int], least: int, most: int) -> None:
        """Leave the fate of `members` open between bounds."""
        for member in members:
            self.of[member] = Fate.EITHER
        self.choices.append(Choice(tuple(members), least, most))


def fates_of(events: Sequence[Event], *, hidden_duplicates: int = 0) -> Fates:
    """Fates of the events of one user, in topic order per source.

    `hidden_duplicates` bounds how many of them may repeat events that are not in `events`.
    """
    fates = Fates([Fate.APPLIED] * len(events))
    with_id = [at for at, event in enumerate(events) if event.applied.event_id is not None]
    for at, event in enumerate(events):
        if event.flags & OPEN and event.applied.event_id is None:
            fates.choose([at], 0, 1)
    if hidden_duplicates or any(events[at].flags & OPEN for at in with_id):
        for at in with_id:
            fates.choose([at], 0, 1)
    elif len({events[at].source for at in with_id}) <= 1:
        _exact(events, with_id, fates)
    else:
        _bounded(events, with_id, fates)
    return fates


def _exact(events: Sequence[Event], with_id: Sequence[int], fates: Fates) -> None:
    """All ids came through one topic: their order is known."""
    remembered: deque[str | None] = deque(maxlen=EVENT_IDS)
    for at in with_id:
        event_id = events[at].applied.event_id
        if event_id in remembered:
            fates.of[at] = Fate.DROPPED
        else:
            remembered.append(event_id)


def _bounded(events: Sequence[Event], with_id: Sequence[int], fates: Fates) -> None:
    groups: dict[str | None, list[int]] = defaultdict(list)
    rank: dict[int, int] = {}  # position among the ids of its own topic
    per_source: dict[int, int] = defaultdict(int)
    for at in with_id:
        groups[events[at].applied.event_id].append(at)
        rank[at] = per_source[events[at].source]
        per_source[events[at].source] += 1
    none_forgotten = len(with_id) <= EVENT_IDS
    for members in groups.values():
        if len(members) == 1:
            continue
        if len({events[at].source for at in members}) > 1:
            _across(events, members, fates, none_forgotten)
            continue
        first, *others = members
        elsewhere = len(with_id) - per_source[events[first].source]
        unsure = []
        for at in others:
            between = rank[at] - rank[first] - 1 + elsewhere
            if between < EVENT_IDS:
                fates.of[at] = Fate.DROPPED
            else:
                unsure.append(at)
        if unsure:
            fates.choose(unsure, 0, len(unsure))


def _across(
    events: Sequence[Event], members: Sequence[int], fates: Fates, none_forgotten: bool
) -> None:
    """One id in two topics: the one that arrived first was applied."""
    if not none_forgotten:
        fates.choose(members, 1, len(members))
        return
    firsts: dict[int, int] = {}
    for at in members:
        if firsts.setdefault(events[at].source, at) != at:
            fates.of[at] = Fate.DROPPED
    fates.choose(list(firsts.values()), 1, 1)
