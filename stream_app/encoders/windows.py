"""Encoding of the last events of many users, for an encoder that keeps no state.

Users of about equal length share a call, so that little of it is padding. A user's vector does not
depend on who shares the call: padding is masked, and no event sees another user's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from stream_app.encoders.base import Floats, History, Ints

Encode = Callable[[Floats, Floats, Ints], Floats]
"""Item vectors `[B, L, d]`, features `[B, L, f]` and lengths `[B]` to user vectors `[B, d]`."""

# On a CPU a user costs least in calls of about 32; beyond, the activations leave the cache.
USERS_AT_ONCE = 32


def encode_windows(
    encode: Encode, histories: Sequence[History], *, dim: int, window: int, at_once: int
) -> Floats:
    """User vectors `[B, d]` float32 of the last `window` events of each history.

    Calls `encode` with at most `at_once` users, padded on the right with zeros; users without
    events get zeros.
    """
    users = np.zeros((len(histories), dim), np.float32)
    lengths = np.fromiter((len(one.item_vectors) for one in histories), np.int64, len(histories))
    lengths = np.minimum(lengths, window)
    order = np.argsort(-lengths, kind="stable")
    order = order[: np.count_nonzero(lengths)]
    for start in range(0, len(order), at_once):
        rows = order[start : start + at_once]
        part = [histories[row] for row in rows]
        users[rows] = encode(*_padded(part, lengths[rows]), lengths[rows])
    return users


def _padded(histories: Sequence[History], lengths: Ints) -> tuple[Floats, Floats]:
    """The last events of each history side by side, `[B, L, d]` and `[B, L, f]`."""
    shape = (len(histories), int(lengths.max()))
    first = histories[0]
    items = np.zeros((*shape, first.item_vectors.shape[1]), np.float32)
    features = np.zeros((*shape, first.features.shape[1]), np.float32)
    for row, (history, length) in enumerate(zip(histories, lengths.tolist(), strict=True)):
        items[row, :length] = history.item_vectors[-length:]
        features[row, :length] = history.features[-length:]
    return items, features
