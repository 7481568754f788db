"""Keeps out what the user has seen already. Leave it out where people come back to items."""

from __future__ import annotations

from stream_app.ranking.batch import FIRST_MARK, Indices, Rows, UserBatch
from stream_app.users.actions import PURCHASE


class Clicked:
    """Forbids items with any event but a purchase."""

    name = "clicked"

    def __init__(self, return_after_ms: int | None = None) -> None:
        """Items may return so long after such an event; None is never."""
        self._return_after_ms = return_after_ms

    def forbidden(self, users: UserBatch) -> tuple[Rows, Indices]:
        """Seen items."""
        past = users.past
        kept_out = (past.actions != PURCHASE) & (past.actions < FIRST_MARK)
        if self._return_after_ms is not None:
            kept_out &= past.ages_ms < self._return_after_ms
        return past.rows[kept_out], past.items[kept_out]
