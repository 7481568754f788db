"""What rules did in lists, for whoever reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas import RuleTrace
from stream_app.ranking.terms import Terms
from stream_app.rules.live import LiveRule

Indices = NDArray[np.int32]
_NONE = -1


def traces(
    active: Sequence[LiveRule], terms: Terms, items: Indices, lengths: Sequence[int], size: int
) -> list[tuple[RuleTrace, ...]]:
    """What each of the rules that held did in lists of catalogue positions `[R, k]`.

    `terms` are what was made of the rules for a catalogue of `size` items; of each list only the
    first `lengths` places count.
    """
    shown = np.where(np.arange(items.shape[1]) < np.array(lengths)[:, None], items, _NONE)
    pins = iter(terms.pins)
    columns: list[list[RuleTrace]] = []
    for one in active:
        if one.effect == "pin":
            touched = _pinned(shown, next(pins).items)
        elif one.effect == "exclude":
            touched = np.zeros(shown.shape, np.bool_)
        else:
            touched = one.mask(size).take(shown) & (shown != _NONE)
        columns.append(_column(one, touched))
    return list(zip(*columns, strict=True))


def _pinned(shown: Indices, choices: Indices) -> NDArray[np.bool_]:
    """The first of the choices that is in the list: those before it may not be shown."""
    touched = np.zeros(shown.shape, np.bool_)
    for item in choices.tolist():
        left = ~touched.any(axis=1)
        touched[left] = shown[left] == item
    return touched


def _column(one: LiveRule, touched: NDArray[np.bool_]) -> list[RuleTrace]:
    rule_id, effect = one.rule.rule_id, one.effect
    column = [RuleTrace(rule_id, effect)] * len(touched)
    for row in np.flatnonzero(touched.any(axis=1)).tolist():
        ranks = tuple((1 + np.flatnonzero(touched[row])).tolist())
        column[row] = RuleTrace(rule_id, effect, ranks)
    return column
