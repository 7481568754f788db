"""The action head of a release: what a user would do with an item, beside whether it comes next.

An optional file of a bundle. Nothing in serving reads it yet; it is there for rankers that weigh
a purchase differently from a click.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.bundle.arrays import decode_npz, encode_npz, expect_shape
from stream_app.users.actions import ACTIONS

ACTION_HEAD_FILE = "action_head.npz"
DTYPES = {"weight": np.float32, "bias": np.float32}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ActionHead:
    """Logits of the actions, linear in user, item and their product."""

    weight: Floats
    """`[3 d, actions]`, the rows for the user vector, the item vector and their product."""
    bias: Floats
    """`[actions]`, in the order of `stream_app.users.actions.ACTIONS`."""

    def probabilities(self, users: Floats, items: Floats) -> Floats:
        """P(action | the user's next event is on the item) `[n, actions]`.

        Takes unit rows `[n, d]` of both, float32.
        """
        logits = np.concatenate([users, items, users * items], axis=1) @ self.weight + self.bias
        grown = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Floats = grown / grown.sum(axis=1, keepdims=True)
        return shares


def encode_action_head(head: ActionHead) -> bytes:
    """`action_head.npz`."""
    return encode_npz({"weight": head.weight, "bias": head.bias})


def decode_action_head(raw: bytes, *, dim: int) -> ActionHead:
    """Read `action_head.npz` of a bundle with vectors of `dim`; raises `ValueError`."""
    head = ActionHead(**decode_npz(raw, DTYPES))
    expect_shape("weight", head.weight, 3 * dim, len(ACTIONS))
    expect_shape("bias", head.bias, len(ACTIONS))
    return head
