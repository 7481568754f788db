"""Keeps out what the user has bought."""

from __future__ import annotations

from stream_app.ranking.batch import Indices, Rows, UserBatch
from stream_app.users.actions import PURCHASE


class Bought:
    """Forbids items with a purchase among all that is remembered of the user."""

    name = "bought"

    def __init__(self, return_after_ms: int | None = None) -> None:
        """Items may return so long after their purchase; None is never."""
        self._return_after_ms = return_after_ms

    def forbidden(self, users: UserBatch) -> tuple[Rows, Indices]:
        """Purchased items."""
        past = users.past
        kept_out = past.actions == PURCHASE
        if self._return_after_ms is not None:
            kept_out &= past.ages_ms < self._return_after_ms
        return past.rows[kept_out], past.items[kept_out]
