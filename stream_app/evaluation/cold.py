"""Cold start: questions whose answer nobody had yet, and users of whom little or nothing is known.

Items: part of the catalogue is kept out of training; what matters is how often its items are found
(cold) and what that costs the others (warm). Users: those who first appear after training are asked
for the same later items with 0, 1, 2, ... of their first events known, so that the figures differ
by what is known and by nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.datasets import EventTable
from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.histories import Histories, UserLog
from stream_app.evaluation.lists import Lists
from stream_app.evaluation.metrics import accuracy, places_of
from stream_app.evaluation.protocols import Cases, Split, leave_one_out, time_split

Bools = NDArray[np.bool_]

K = 10
EVENTS_KNOWN = (0, 1, 2, 3, 5, 10)
"""How much of a cold user is known; a user's profile is made of the first `max` of them."""
TARGETS = 10
"""Later items that a cold user is asked for, at most."""


class ColdSplit(NamedTuple):
    """A split whose training part holds no event on the cold items."""

    split: Split
    cold: Bools
    """`[items]`."""


class Figure(NamedTuple):
    """One group of questions."""

    questions: int
    ndcg: float
    """NDCG@10."""
    hr: float
    """Hit rate@10."""


def newest_items(table: EventTable, share: float = 0.1) -> ColdSplit:
    """Cold are the last `share` of the items by first appearance; training ends before the first.

    Asked is every later event of a user with an earlier one. Raises `EvaluationError` when there
    is nothing to train on or nobody to ask.
    """
    first = np.full(len(table.item_ids), len(table))
    np.minimum.at(first, table.items, np.arange(len(table)))
    cut = int(np.sort(first)[int(len(first) * (1 - share))])
    if cut == 0:
        raise EvaluationError(f"{table.source}: no event is older than the newest items; take less")
    # Half an event more: the share times the number of events must not round down past the cut.
    split = time_split(table, test_share=1 - (cut + 0.5) / len(table))
    return ColdSplit(split, first >= cut)


def random_items(table: EventTable, share: float = 0.1, seed: int = 0) -> ColdSplit:
    """Cold are random items, all of whose events are kept out of training; for data without times.

    Asked is every user's last item; histories hold the cold items, as they would in service.
    """
    items = len(table.item_ids)
    cold = np.zeros(items, bool)
    cold[np.random.default_rng(seed).choice(items, int(items * share), replace=False)] = True
    split = leave_one_out(table)
    return ColdSplit(
        replace(
            split,
            train=split.train.where(~cold[split.train.items]),
            past=split.past.where(~cold[split.past.items]),
        ),
        cold,
    )


def cold_figures(lists: Lists, cases: Cases, cold: Bools) -> dict[str, Figure]:
    """NDCG@10 and hit rate@10 of lists `[C, 10]` for all questions, warm ones and cold ones.

    Every question has one target, which says what it is.
    """
    if len(cases.targets) != len(cases):
        raise EvaluationError("every question of a cold-start evaluation needs one target")
    figures = accuracy(places_of(lists, cases), cases.offsets, K)
    of_cold = cold[cases.targets]
    groups = {"all": np.ones(len(cases), bool), "warm": ~of_cold, "cold": of_cold}
    return {name: _figure(figures, chosen) for name, chosen in groups.items()}


class ColdUsers(NamedTuple):
    """Users who appear after training, and what each is asked for whatever is known."""

    cases: dict[int, Cases]
    """Questions by number of known events; the same users and targets in all of them."""
    firsts: list[list[int]]
    """Per user of the split, in the order of `users`, the items of the first events."""
    users: NDArray[np.int32]
    """`[U]` positions in `user_ids`."""


def cold_users(split: Split, known: Sequence[int] = EVENTS_KNOWN) -> ColdUsers:
    """The users without an event in `split.past` who have more events than `max(known)`.

    Wanted are the next `TARGETS` items after these that are in the past of the split (so that all
    methods can find them) and that the user did not have. Raises `EvaluationError` for no user.
    """
    log = UserLog.of(split.table)
    table, most = split.table, max(known)
    trained = np.bincount(split.past.items, minlength=len(table.item_ids)) > 0
    users, targets, firsts = [], [], []
    for user in np.flatnonzero(~split.returning & (log.counts > most)).tolist():
        items = table.items[log.order[log.starts[user] : log.starts[user + 1]]].tolist()
        later = [one for one in dict.fromkeys(items[most:]) if one not in items[:most]]
        if wanted := [one for one in later if trained[one]][:TARGETS]:
            users.append(user)
            targets.append(wanted)
            firsts.append(items[:most])
    if not users:
        raise EvaluationError(f"{table.source}: no new user has more than {most} events")
    asked = np.array(users, np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in targets])])
    wanted_items = np.array([item for one in targets for item in one], np.int64)
    cases = {
        count: Cases(Histories(log, asked, np.full(len(asked), count)), wanted_items, offsets)
        for count in known
    }
    return ColdUsers(cases, firsts, asked)


def cold_user_figure(lists: Lists, cases: Cases) -> Figure:
    """NDCG@10 and hit rate@10 of lists `[U, 10]`, the mean over users."""
    figures = accuracy(places_of(lists, cases), cases.offsets, K)
    return _figure(figures, np.ones(len(cases), bool))


def favourites(
    firsts: Sequence[Sequence[int]], tags: Callable[[int], Sequence[str]], count: int = 3
) -> list[str]:
    """A profile text per user: the `count` most frequent `tags` of the first items, comma-joined.

    It stands for what a person would answer when asked at the beginning.
    """
    profiles = []
    for items in firsts:
        found: dict[str, int] = {}
        for item in items:
            for tag in tags(item):
                found[tag] = found.get(tag, 0) + 1
        best = sorted(found, key=lambda tag: (-found[tag], tag))[:count]
        profiles.append(", ".join(best))
    return profiles


def _figure(figures: Mapping[str, NDArray[np.float64]], chosen: Bools) -> Figure:
    count = int(chosen.sum())
    if not count:
        return Figure(0, float("nan"), float("nan"))
    return Figure(count, float(figures["ndcg"][chosen].mean()), float(figures["hr"][chosen].mean()))
