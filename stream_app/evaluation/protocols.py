"""Which events methods learn from, and what they are asked: leave-one-out, time split, replay.

Equal timestamps keep the order of the file everywhere: on ML-1M another order changes the last
item of a quarter of the users, and with it every figure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream_app.datasets import EventTable
from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.histories import Histories, UserLog, ranges

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEAVE_ONE_OUT = "leave-one-out"
TIME_SPLIT = "time-split"
REPLAY = "replay"
PROTOCOLS = (LEAVE_ONE_OUT, TIME_SPLIT, REPLAY)


@dataclass(frozen=True)
class Cases:
    """`C` questions: what does this user want after this history?"""

    histories: Histories
    targets: Ints
    """`[M]` positions in `item_ids` of the wanted items, question after question."""
    offsets: Ints
    """`[C + 1]` where each question's targets begin in `targets`; each has at least one."""

    def __len__(self) -> int:
        return len(self.histories)

    @property
    def users(self) -> NDArray[np.int32]:
        """`[C]` positions in `user_ids`."""
        return self.histories.users

    @property
    def owners(self) -> Ints:
        """`[M]` the question of each target."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def part(self, chosen: Ints) -> Cases:
        """Some of the questions, in the order of `chosen`."""
        counts = np.diff(self.offsets)[chosen]
        targets = self.targets[ranges(self.offsets[chosen], counts)]
        return Cases(self.histories.part(chosen), targets, offsets_of(counts))

    def sample(self, count: int, seed: int) -> Cases:
        """At most `count` of the questions, drawn at random, in their order."""
        if len(self) <= count:
            return self
        drawn = np.random.default_rng(seed).choice(len(self), count, replace=False)
        return self.part(np.sort(drawn))


@dataclass(frozen=True)
class Split:
    """One data set cut for an evaluation."""

    table: EventTable
    protocol: str
    repeats: bool
    """Whether items that a user already had may be recommended, and wanted again."""
    parts: NDArray[np.int8]
    """`[n]` whether an event is of `train` (0), of the validation (1), or later (2)."""
    train: EventTable
    """What settings are fitted on."""
    validation: Cases
    """Questions about the time after `train`, to stop training or to choose settings by."""
    past: EventTable
    """All that may be learned from: `train` and the events of the validation."""
    test: Cases
    returning: Bools
    """`[users]` whether a user has events in `past`."""
    stream: EventTable | None = None
    """The events of the test period, where methods may learn from it as it passes."""

    @property
    def refit(self) -> bool:
        """Whether a model is trained again on `past` once its settings are found.

        Leave-one-out keeps to the convention of the literature, where it is not.
        """
        return self.protocol != LEAVE_ONE_OUT


def leave_one_out(table: EventTable, *, repeats: bool = False) -> Split:
    """Ask for every user's last item, validate on the one before, train on the rest.

    Users with fewer than three events are trained on and not asked. Without `repeats`, nor are
    those whose last item is one they had before. Raises `EvaluationError` when nobody is left.
    """
    log = UserLog.of(table)
    numbers = log.numbers()
    asked = log.counts >= 3
    to_come = np.where(asked, log.counts, np.iinfo(np.int64).max)[table.users] - 1 - numbers
    wanted = np.ones(len(table), bool) if repeats else _first_times(table)
    return _checked(
        Split(
            table,
            LEAVE_ONE_OUT,
            repeats,
            parts=(2 - np.minimum(to_come, 2)).astype(np.int8),
            train=table.where(to_come >= 2),
            validation=_next_items(log, numbers, (to_come == 1) & wanted),
            past=table.where(to_come >= 1),
            test=_next_items(log, numbers, (to_come == 0) & wanted),
            returning=log.counts > 0,
        ),
        "needs a user with three events",
    )


def time_split(
    table: EventTable,
    *,
    repeats: bool = False,
    test_share: float = 0.2,
    validation_share: float = 0.1,
    basket: bool = False,
) -> Split:
    """Test on the newest `test_share` of the events, validate on the newest part before them.

    Every later event of a user who has an earlier one is a question, asked with all that came
    before it. With `basket`, each user known before the period is asked once, at its beginning,
    and wants every item of the period. Raises `EvaluationError` when there is no question.
    """
    split = _by_time(table, TIME_SPLIT, repeats, test_share, validation_share)
    log = split.test.histories.log
    if basket:
        return _checked(replace(split, test=_baskets(log, len(split.past), repeats)), TOO_SHORT)
    return _checked(split, TOO_SHORT)


def replay_split(
    table: EventTable,
    *,
    repeats: bool = False,
    test_share: float = 0.2,
    validation_share: float = 0.1,
) -> Split:
    """Cut as `time_split`; asked is what a list made after an event of the stream should hold.

    So a user's first event of the period is no question, and methods may learn from the stream.
    """
    split = _by_time(table, REPLAY, repeats, test_share, validation_share)
    cut = len(split.past)
    log = split.test.histories.log
    numbers = log.numbers()
    before = np.bincount(table.users[:cut], minlength=len(table.user_ids))
    asked = np.arange(len(table)) >= cut
    asked &= numbers > before[table.users]
    if not repeats:
        asked &= _first_times(table)
    stream = table.part(cut, len(table))
    return _checked(replace(split, test=_next_items(log, numbers, asked), stream=stream), TOO_SHORT)


TOO_SHORT = "needs a user with an event in the test period and one before it"


def _by_time(
    table: EventTable, protocol: str, repeats: bool, test_share: float, validation_share: float
) -> Split:
    if not table.timed:
        raise EvaluationError(
            f"{table.source} has no times; use --protocol {LEAVE_ONE_OUT}, or give other events"
        )
    log = UserLog.of(table)
    numbers = log.numbers()
    cut = int(len(table) * (1 - test_share))
    begin = int(cut * (1 - validation_share))
    place = np.arange(len(table))
    asked = numbers > 0
    if not repeats:
        asked &= _first_times(table)
    past = table.part(0, cut)
    return Split(
        table,
        protocol,
        repeats,
        parts=((place >= begin).astype(np.int8) + (place >= cut)).astype(np.int8),
        train=table.part(0, begin),
        validation=_next_items(log, numbers, asked & (place >= begin) & (place < cut)),
        past=past,
        test=_next_items(log, numbers, asked & (place >= cut)),
        returning=np.bincount(past.users, minlength=len(table.user_ids)) > 0,
    )


def sample_users(split: Split, users: int, seed: int) -> Split:
    """The same split with the test questions of `users` random users only."""
    asked = np.unique(split.test.users)
    if len(asked) <= users:
        return split
    kept = np.zeros(len(split.table.user_ids), bool)
    kept[np.random.default_rng(seed).choice(asked, users, replace=False)] = True
    return replace(split, test=split.test.part(np.flatnonzero(kept[split.test.users])))


def _checked(split: Split, need: str) -> Split:
    if not len(split.test):
        repeats = "" if split.repeats else " and an item that the user did not have before"
        raise EvaluationError(
            f"{split.table.source}: nobody to ask: {split.protocol} {need}{repeats}; give more "
            "events, a larger --test-share, or --repeats"
        )
    return split


def _next_items(log: UserLog, numbers: Ints, asked: Bools) -> Cases:
    """One question for each event of the table where `asked`: user after user, in time order."""
    events = log.order[asked[log.order]]
    histories = Histories(log, log.table.users[events], numbers[events])
    return Cases(histories, log.table.items[events].astype(np.int64), np.arange(len(events) + 1))


def _baskets(log: UserLog, cut: int, repeats: bool) -> Cases:
    table = log.table
    later = np.arange(len(table)) >= cut
    wanted = later & _first_times(table, later if repeats else None)
    known = np.bincount(table.users[:cut], minlength=len(table.user_ids))
    wanted &= known[table.users] > 0
    events = log.order[wanted[log.order]]
    users, counts = np.unique(table.users[events], return_counts=True)
    histories = Histories(log, users, known[users])
    return Cases(histories, table.items[events].astype(np.int64), offsets_of(counts))


def _first_times(table: EventTable, among: Bools | None = None) -> Bools:
    """`[n]` whether an event is the first of its user with its item (of the events `among`)."""
    places = np.arange(len(table)) if among is None else np.flatnonzero(among)
    pairs = table.users[places].astype(np.int64) * len(table.item_ids) + table.items[places]
    first = np.zeros(len(table), bool)
    first[places[np.unique(pairs, return_index=True)[1]]] = True
    return first


def offsets_of(counts: Ints) -> Ints:
    """Where parts of the given sizes begin when laid side by side, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(counts)])
