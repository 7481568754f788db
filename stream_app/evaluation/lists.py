"""From scores to top-k lists, with a total order: a higher score first, then the older item."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.histories import NOTHING, Histories
from stream_app.evaluation.methods import Floats, Method

Lists = NDArray[np.int32]
OnDone = Callable[[int], None]

# Scores held at a time, in numbers: 64 MB of float32, and as many int64 keys. Larger blocks are
# not faster, smaller ones waste the matrix products of the methods.
BLOCK_SCORES = 16_000_000
MAX_BLOCK = 1024
_LOW = np.int64(0xFFFFFFFF)


def top_lists(
    method: Method, histories: Histories, k: int, *, repeats: bool, on_done: OnDone = lambda _: None
) -> Lists:
    """The `k` best items of `method` for each history: int32 `[C, k]`, `NOTHING` after the last.

    Without `repeats`, items of the history are left out. `on_done` is told how many histories are
    done. Raises `EvaluationError` for scores of a wrong shape, and for NaN.
    """
    items = len(histories.log.table.item_ids)
    lists = np.full((len(histories), k), NOTHING, np.int32)
    block = max(1, min(MAX_BLOCK, BLOCK_SCORES // max(items, 1)))
    for cut, part in histories.blocks(block):
        scores = method.scores(part)
        if scores.shape != (len(part), items) or np.isnan(scores).any():
            raise EvaluationError(
                f"{method.name}: scores of shape {scores.shape} with "
                f"{int(np.isnan(scores).sum())} NaN; expected {(len(part), items)} and none"
            )
        if not repeats:
            owners, events = part.flat()
            scores[owners, part.log.table.items[events]] = -np.inf
        best = top_items(scores, k)
        lists[cut, : best.shape[1]] = best
        on_done(cut.stop)
    return lists


def top_items(scores: Floats, k: int) -> Lists:
    """Positions of the `k` largest scores of each row, int32 `[B, min(k, N)]`, best first.

    Equal scores go by position: items are numbered by first appearance, so the older one wins.
    Where a row has fewer scores above `-inf`, `NOTHING` fills the rest.
    """
    items = scores.shape[1]
    k = min(k, items)
    if k == 0:
        return np.empty((len(scores), 0), np.int32)
    keys = _sortable(scores) << 32
    keys |= items - 1 - np.arange(items)
    best = np.partition(keys, items - k, axis=1)[:, items - k :]
    best.sort(axis=1)
    best = best[:, ::-1]
    places = items - 1 - (best & _LOW)
    found = best >> 32 > _sortable(np.full(1, -np.inf, np.float32))
    lists: Lists = np.where(found, places, NOTHING).astype(np.int32)
    return lists


def without_seen(lists: Lists, histories: Histories, k: int) -> Lists:
    """Take the items of each history out of its list, close the gaps, and keep `k` places."""
    items = len(histories.log.table.item_ids)
    owners, events = histories.flat()
    seen = owners * items + histories.log.table.items[events]
    pairs = np.arange(len(lists))[:, None] * items + lists
    taken = (lists != NOTHING) & np.isin(pairs, seen)
    order = np.argsort(taken, axis=1, kind="stable")
    kept = np.where(taken, np.int32(NOTHING), lists)
    return np.take_along_axis(kept, order, axis=1)[:, :k]


def _sortable(scores: Floats) -> NDArray[np.int64]:
    """Integers in the order of the scores: the bits of a float32, the negative ones reversed.

    Both zeros become the same number.
    """
    bits = (scores.astype(np.float32, copy=False) + np.float32(0)).view(np.int32).astype(np.int64)
    return np.where(bits >= 0, bits, np.int64(-(2**31)) - bits)
