"""Why an item is in a list, for people."""

from __future__ import annotations

import numpy as np

from stream_app.ranking.batch import NONE, Indices, UserBatch
from stream_app.ranking.live.transitions import TransitionStore


def led_to(users: UserBatch, items: Indices, store: TransitionStore, recent: int) -> Indices:
    """The newest of each user's last `recent` items that others left for the item, `[R, k]`.

    Takes ranked `items` `[R, k]`; -1 where none of the last items leads to it.
    """
    last = users.recent[:, :recent]
    successors, _ = store.successors_of(last)
    causes = np.full(items.shape, NONE, np.int32)
    for place in reversed(range(last.shape[1])):  # the newest is written last
        leads = (successors[:, place, None, :] == items[:, :, None]).any(axis=2)
        np.copyto(causes, last[:, place, None], where=leads & (items != NONE))
    return causes
