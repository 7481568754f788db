"""At most so many items of a group in a list."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream_app.ranking.batch import NONE, Indices
from stream_app.ranking.candidates import Ranking
from stream_app.ranking.terms import Quota


def within(ranking: Ranking, quotas: Sequence[Quota], counted: Indices, width: int) -> Ranking:
    """The `width` best items that quotas leave, best first; ties go to the earlier column.

    Place after place goes to the best item of which no group is full. `counted` `[R, S]` are items
    that are in the lists already; -1 is none. Whatever is made of the result keeps the quotas.
    """
    left = ranking.scores.copy()
    members = [quota.items.take(ranking.items) for quota in quotas]
    room = [quota.at_most - quota.items.take(counted).sum(axis=1) for quota in quotas]
    for member, free in zip(members, room, strict=True):
        left[member & (free <= 0)[:, None]] = -np.inf
    rows = np.arange(len(left))
    count = min(width, left.shape[1])
    items = np.full((len(left), count), NONE, np.int32)
    scores = np.full((len(left), count), -np.inf, np.float32)
    for place in range(count):
        best = left.argmax(axis=1)
        scores[:, place] = left[rows, best]
        held = scores[:, place] > -np.inf
        items[held, place] = ranking.items[rows, best][held]
        left[rows, best] = -np.inf
        for member, free in zip(members, room, strict=True):
            chosen = member[rows, best] & held
            free -= chosen
            full = np.flatnonzero(chosen & (free == 0))
            left[full] = np.where(member[full], -np.inf, left[full])
    return Ranking(items, scores)
