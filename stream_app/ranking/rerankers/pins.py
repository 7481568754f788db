"""Items at places of their own, whatever their score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.ranking.batch import NONE, Floats, Indices
from stream_app.ranking.candidates import Ranking
from stream_app.ranking.terms import Terms

Columns = NDArray[np.int64]


class Pinned(NamedTuple):
    """What is pinned in lists of `R` users, `S` pins each, in the order of their priority."""

    places: tuple[int, ...]
    """Where each belongs, from 0, of `S`."""
    columns: Columns
    """Where in the ranking the item was found, `[R, S]`; -1 where none may be shown."""
    items: Indices
    """`[R, S]`."""
    scores: Floats
    """`[R, S]`."""


def pinned(ranking: Ranking, terms: Terms, k: int) -> Pinned:
    """Choose for every pin below place `k` the first of its items that the user may be shown.

    It is no item that is pinned already, and none that a quota has no room for. That an item may be
    shown is told by its score: the others have -inf.
    """
    pins = [pin for pin in terms.pins if pin.place < k]
    found = _Found(ranking, [item for pin in pins for item in pin.items.tolist()])
    rows = len(ranking.items)
    columns = np.full((rows, len(pins)), NONE, np.int64)
    room = [np.full(rows, quota.at_most) for quota in terms.quotas]
    for place, pin in enumerate(pins):
        for item in pin.items.tolist():
            free = (columns[:, place] == NONE) & (found.columns_of(item) != NONE)
            counted = [left for left, one in zip(room, terms.quotas, strict=True)
                       if one.items[item]]  # fmt: skip
            for left in counted:
                free &= left > 0
            columns[free, place] = found.take(item, free)
            for left in counted:
                left -= free
    held = columns != NONE
    return Pinned(
        tuple(pin.place for pin in pins),
        columns,
        np.where(held, np.take_along_axis(ranking.items, columns, axis=1), np.int32(NONE)),
        np.where(held, np.take_along_axis(ranking.scores, columns, axis=1), np.float32(-np.inf)),
    )


class _Found:
    """In which columns some items are that may be shown, and that are not taken yet."""

    def __init__(self, ranking: Ranking, items: list[int]) -> None:
        self._wanted = np.unique(np.array(items, np.int32))
        self._columns = np.full((len(ranking.items), len(self._wanted)), NONE, np.int64)
        if not len(self._wanted):
            return
        code = np.searchsorted(self._wanted, ranking.items).clip(max=len(self._wanted) - 1)
        hit = (self._wanted[code] == ranking.items) & (ranking.scores > -np.inf)
        rows, columns = np.nonzero(hit)
        self._columns[rows, code[rows, columns]] = columns

    def columns_of(self, item: int) -> Columns:
        """`[R]`, -1 where it is not there."""
        found: Columns = self._columns[:, np.searchsorted(self._wanted, item)]
        return found

    def take(self, item: int, rows: NDArray[np.bool_]) -> Columns:
        """Its columns in some rows, which do not have it any more."""
        code = np.searchsorted(self._wanted, item)
        columns: Columns = self._columns[rows, code]
        self._columns[rows, code] = NONE
        return columns


def without(ranking: Ranking, columns: Columns) -> Ranking:
    """The ranking with nothing in some columns `[R, S]`; -1 is no column."""
    rows, pins = np.nonzero(columns != NONE)
    if not len(rows):
        return ranking
    scores = ranking.scores.copy()
    scores[rows, columns[rows, pins]] = -np.inf
    return Ranking(ranking.items, scores)


def placed(ranking: Ranking, pins: Pinned, k: int) -> Ranking:
    """`k` columns: what is pinned at its place, or the next that is free, the rest in order."""
    if not pins.places:
        return ranking
    rows = np.arange(len(ranking.items))
    taken = np.zeros((len(rows), k), np.bool_)
    items = np.full(taken.shape, NONE, np.int32)
    scores = np.full(taken.shape, -np.inf, np.float32)
    for number, place in enumerate(pins.places):
        open_ = ~taken[:, place:]
        at = place + open_.argmax(axis=1)
        fits = (pins.columns[:, number] != NONE) & open_.any(axis=1)
        items[rows[fits], at[fits]] = pins.items[fits, number]
        scores[rows[fits], at[fits]] = pins.scores[fits, number]
        taken[rows[fits], at[fits]] = True
    _fill(ranking, taken, items, scores)
    holes = np.argsort(items == NONE, axis=1, kind="stable")  # a pin behind the end of a short list
    return Ranking(
        np.take_along_axis(items, holes, axis=1), np.take_along_axis(scores, holes, axis=1)
    )


def _fill(ranking: Ranking, taken: NDArray[np.bool_], items: Indices, scores: Floats) -> None:
    """Put the ranking, in order, where nothing is taken."""
    width = ranking.items.shape[1]
    if not width:
        return
    source = np.cumsum(~taken, axis=1) - 1
    open_ = ~taken & (source < width)
    source = source.clip(0, width - 1)
    items[open_] = np.take_along_axis(ranking.items, source, axis=1)[open_]
    scores[open_] = np.take_along_axis(ranking.scores, source, axis=1)[open_]
