"""A made-up stream in which the next item follows from the last one, not from popularity."""

from __future__ import annotations

import numpy as np

from stream_app.datasets import EventTable
from stream_app.datasets.events import Row
from stream_app.users.actions import ACTIONS

ITEMS = 60
MINUTE_MS = 60_000


def markov_table(users: int = 80, length: int = 30, seed: int = 0) -> EventTable:
    """Each item leads to one of two others; users come one after the other, some together."""
    random = np.random.default_rng(seed)
    leads = np.stack([random.permutation(ITEMS), random.permutation(ITEMS)], 1)
    rows = []
    for user in range(users):
        item = int(random.integers(ITEMS))
        for step in range(length):
            at = (user * 10 + step) * MINUTE_MS + user
            rows.append(Row(f"u{user}", f"i{item}", at, 2 + step % (len(ACTIONS) - 2)))
            item = int(leads[item, int(random.random() < 0.3)])
    return EventTable.from_rows(rows, "markov")
