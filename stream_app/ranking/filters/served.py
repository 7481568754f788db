"""Keeps out what was in the lists that were made after the user's events."""

from __future__ import annotations

from stream_app.ranking.batch import SERVED, Indices, Rows, UserBatch


class Served:
    """Forbids items of such lists, as far back as the row remembers them."""

    name = "served"

    def __init__(self, return_after_ms: int | None = None) -> None:
        """Items may return so long after they were served last; None is never."""
        self._return_after_ms = return_after_ms

    def forbidden(self, users: UserBatch) -> tuple[Rows, Indices]:
        """Served items."""
        past = users.past
        kept_out = past.actions == SERVED
        if self._return_after_ms is not None:
            kept_out &= past.ages_ms < self._return_after_ms
        return past.rows[kept_out], past.items[kept_out]
