"""Encoding of whole histories by replaying the step over many users at once.

One graph then serves both ways of use, so a state rebuilt from a history is the state that the
stream would have made, up to the float32 rounding of another batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from stream_app.encoders.base import Floats, History

Step = Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]

# Users replayed side by side. A step costs the same per user from about 64 users on; more would
# only need more memory: 1,024 users of 100 events and 64 dimensions are 26 MB.
USERS_AT_ONCE = 1024


def replay(
    step: Step, histories: Sequence[History], *, dim: int, state_size: int
) -> tuple[Floats, Floats]:
    """Return states `[B, S]` and user vectors `[B, d]` of histories of any lengths, float32.

    Users without events get zeros for both.
    """
    states = np.zeros((len(histories), state_size), np.float32)
    users = np.zeros((len(histories), dim), np.float32)
    lengths = np.fromiter((len(h.item_vectors) for h in histories), np.int64, len(histories))
    # Longest first: the users that still have events are always a prefix, so a round is a slice.
    order = np.argsort(-lengths, kind="stable")
    order = order[: np.count_nonzero(lengths)]
    for start in range(0, len(order), USERS_AT_ONCE):
        rows = order[start : start + USERS_AT_ONCE]
        part = [histories[row] for row in rows]
        states[rows], users[rows] = _replay_sorted(step, part, lengths[rows], dim, state_size)
    return states, users


def _replay_sorted(
    step: Step, histories: Sequence[History], lengths: np.ndarray, dim: int, state_size: int
) -> tuple[Floats, Floats]:
    """`replay` for histories that are not empty, longest first."""
    item_vectors = np.concatenate([history.item_vectors for history in histories])
    features = np.concatenate([history.features for history in histories])
    starts = np.cumsum(lengths) - lengths
    states = np.zeros((len(histories), state_size), np.float32)
    users = np.zeros((len(histories), dim), np.float32)
    for position in range(int(lengths[0])):
        active = int(np.count_nonzero(lengths > position))
        rows = starts[:active] + position
        states[:active], users[:active] = step(states[:active], item_vectors[rows], features[rows])
    return states, users
