"""The action head of a release: what a user would do with an item, beside whether it comes next.

An optional file of a bundle, read by `stream_app.ranking.scorers.ActionValue`, which weighs a
purchase differently from a click.
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
        """P(action | the user's next event is on the item) `[R, actions, C]`, float32.

        Takes unit rows of users `[R, d]` and of `C` items for each `[R, C, d]`, or for all
        `[1, C, d]`, float32.
        """
        of_user, of_item, of_both = np.split(self.weight, 3)
        own = of_item.T + users[:, None, :] * of_both.T  # [R, actions, d]: one product, not two
        logits = np.matmul(own, items.transpose(0, 2, 1))
        logits += (users @ of_user + self.bias)[:, :, None]
        logits -= logits.max(axis=1, keepdims=True)
        shares: Floats = np.exp(logits, out=logits)
        shares /= shares.sum(axis=1, keepdims=True)
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
