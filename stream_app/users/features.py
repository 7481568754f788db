"""Features of an event beside its item: the one implementation for training and for serving."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ACTION_SLOTS = 8
"""One-hot places for action codes: more than there are actions, so a new one fits old graphs."""
GAP = ACTION_SLOTS
"""Column of the time gap to the user's previous event."""
FIRST = ACTION_SLOTS + 1
"""Column of the flag "first event", which has no gap."""
FEATURES = ACTION_SLOTS + 2
"""Width of a feature row."""

NO_PREVIOUS = -1
"""The gap of an event that has no event before it."""

# Thirty days of silence give 1.0: seconds, hours and weeks then spread evenly over 0..1.
_GAP_SCALE = float(1.0 / np.log1p(30 * 86_400))


def event_gaps(timestamps_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Gaps in ms between consecutive events of one user, oldest first; `NO_PREVIOUS` for the first.

    Takes and returns int64 `[n]`. Events out of order count as simultaneous.
    """
    gaps = np.empty(len(timestamps_ms), np.int64)
    if len(gaps):
        gaps[0] = NO_PREVIOUS
        np.maximum(np.diff(timestamps_ms), 0, out=gaps[1:])
    return gaps


def sequence_features(
    actions: NDArray[np.uint8], gaps_ms: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Feature rows `[n, FEATURES]` float32 of `n` events, of one user or of many.

    `actions` are action codes `[n]` (a code beyond the one-hot places counts as `other`);
    `gaps_ms` `[n]` the time since the same user's previous event, negative where there is none.
    """
    count = len(actions)
    if len(gaps_ms) != count:
        raise ValueError(f"{count} actions but {len(gaps_ms)} gaps: pass one gap for each event")
    rows = np.zeros((count, FEATURES), np.float32)
    known = np.where(actions < ACTION_SLOTS, actions, 0)
    rows[np.arange(count), known] = 1.0
    first = gaps_ms < 0
    rows[:, GAP] = np.log1p(np.where(first, 0, gaps_ms) * 1e-3) * _GAP_SCALE
    rows[:, FIRST] = first
    return rows
