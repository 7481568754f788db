"""What rules did in lists, for whoever reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas import RuleTrace
from stream_app.ranking.terms import Terms
from stream_app.rules.live import LiveRule

Indices = NDArray[np.int32]
Mask = NDArray[np.bool_]
_NONE = -1


def touched(
    active: Sequence[LiveRule], terms: Terms, items: Indices, lengths: Sequence[int], size: int
) -> list[Mask]:
    """Which places of lists of catalogue positions `[R, k]` each of the rules that held touched.

    `terms` are what was made of the rules for a catalogue of `size` items; of each list only the
    first `lengths` places count.
    """
    shown = np.where(np.arange(items.shape[1]) < np.array(lengths)[:, None], items, _NONE)
    pins = iter(terms.pins)
    masks: list[Mask] = []
    for one in active:
        if one.effect == "pin":
            masks.append(_pinned(shown, next(pins).items))
        elif one.effect == "exclude":
            masks.append(np.zeros(shown.shape, np.bool_))
        else:
            masks.append(one.mask(size).take(shown) & (shown != _NONE))
    return masks


def traces(active: Sequence[LiveRule], masks: Sequence[Mask]) -> list[tuple[RuleTrace, ...]]:
    """For each list, what the rules that held did in it; `masks` are of `touched`."""
    return list(zip(*map(_column, active, masks), strict=True))


def _pinned(shown: Indices, choices: Indices) -> Mask:
    """The first of the choices that is in the list: those before it may not be shown."""
    found = np.zeros(shown.shape, np.bool_)
    for item in choices.tolist():
        left = ~found.any(axis=1)
        found[left] = shown[left] == item
    return found


def _column(one: LiveRule, mask: Mask) -> list[RuleTrace]:
    rule_id, effect = one.rule.rule_id, one.effect
    column = [RuleTrace(rule_id, effect)] * len(mask)
    for row in np.flatnonzero(mask.any(axis=1)).tolist():
        ranks = tuple((1 + np.flatnonzero(mask[row])).tolist())
        column[row] = RuleTrace(rule_id, effect, ranks)
    return column
