"""The sequence encoder: what turns a user's events into a user vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class History(NamedTuple):
    """One user's events, oldest first, as the encoder sees them."""

    item_vectors: Floats
    """`[L, d]` float32, unit length; a row of zeros for an item without a vector."""
    features: Floats
    """`[L, f]` float32, made by `stream_app.users.features`."""


class SequenceEncoder(Protocol):
    """One compiled encoder on one backend; safe to call from one thread at a time."""

    backend: str
    """What runs it, as named in `Recommendation.model.backend`: `onnxruntime-cpu`, ..."""
    dim: int
    """`d`, the size of item and user vectors."""
    state_size: int
    """`S`, the size of one user's recurrent state; 0: there is none, and no `step`."""

    def encode(self, histories: Sequence[History]) -> tuple[Floats, Floats]:
        """States `[B, S]` and user vectors `[B, d]` of whole histories, from a zero state.

        An encoder without a state reads the last events of a history, as many as its window.
        Users without events get zeros.
        """


class SteppedEncoder(SequenceEncoder, Protocol):
    """An encoder with a state per user."""

    def step(self, states: Floats, item_vectors: Floats, features: Floats) -> tuple[Floats, Floats]:
        """Advance each user by one event.

        Takes states `[B, S]` (zeros for a user without events), item vectors `[B, d]` and
        features `[B, f]`, all float32; returns new states `[B, S]` and unit-length user
        vectors `[B, d]`.
        """
