"""Users to rank for, and what they must not be shown."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from small_release import DIM, unit_rows

from stream_app.ranking import UserBatch
from stream_app.ranking.batch import RECENT, Past
from stream_app.users.actions import PURCHASE


@st.composite
def batches(draw: st.DrawFn) -> tuple[int, UserBatch]:
    """A catalogue size, and users with random histories of items, many of them repeated."""
    items = draw(st.integers(1, 130))
    users = draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lengths = random.integers(0, 150, users)
    rows = np.arange(users).repeat(lengths)
    past = Past(
        rows,
        random.integers(-1, items, len(rows)).astype(np.int32),
        random.integers(0, 6, len(rows)).astype(np.uint8),
        random.integers(0, 10**9, len(rows)),
    )
    recent = np.full((users, RECENT), -1, np.int32)
    for row in range(users):
        last = past.items[rows == row][:RECENT]
        recent[row, : len(last)] = last
    vectors = unit_rows(random.standard_normal((users, DIM)))
    vectors[random.random(users) < 0.2] = 0.0
    return items, UserBatch(vectors, recent, past)


def one_user(vector: np.ndarray, items: list[int]) -> UserBatch:
    """A user who clicked some items, newest first."""
    recent = np.full((1, RECENT), -1, np.int32)
    recent[0, : len(items)] = items
    past = Past(
        np.zeros(len(items), np.int64),
        np.array(items, np.int32),
        np.full(len(items), 2, np.uint8),
        np.zeros(len(items), np.int64),
    )
    return UserBatch(vector[None, :].copy(), recent, past)


def forbidden_to(users: UserBatch, row: int, filters: tuple[str, ...]) -> set[int]:
    past = users.past
    bought = past.actions == PURCHASE
    kept_out = np.zeros(len(past.rows), np.bool_)
    if "bought" in filters:
        kept_out |= bought
    if "clicked" in filters:
        kept_out |= ~bought
    return set(past.items[kept_out & (past.rows == row)].tolist()) - {-1}


NOBODY = UserBatch(
    np.zeros((0, DIM), np.float32),
    np.zeros((0, RECENT), np.int32),
    Past(
        np.zeros(0, np.int64),
        np.zeros(0, np.int32),
        np.zeros(0, np.uint8),
        np.zeros(0, np.int64),
    ),
)
"""For a stage that asks nothing of the users."""
