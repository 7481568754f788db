"""Keeps out what the user was shown, by the impressions of whoever shows lists."""

from __future__ import annotations

from stream_app.ranking.batch import SHOWN, Indices, Rows, UserBatch


class Shown:
    """Forbids items of impressions, as far back as the row remembers them."""

    name = "shown"

    def __init__(self, return_after_ms: int | None = None) -> None:
        """Items may return so long after they were shown last; None is never."""
        self._return_after_ms = return_after_ms

    def forbidden(self, users: UserBatch) -> tuple[Rows, Indices]:
        """Shown items."""
        past = users.past
        kept_out = past.actions == SHOWN
        if self._return_after_ms is not None:
            kept_out &= past.ages_ms < self._return_after_ms
        return past.rows[kept_out], past.items[kept_out]
