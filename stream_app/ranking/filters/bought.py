"""Keeps out what the user has bought."""

from __future__ import annotations

from stream_app.ranking.batch import Indices, Rows, UserBatch
from stream_app.users.actions import PURCHASE


class Bought:
    """Forbids items with a purchase among all that is remembered of the user."""

    name = "bought"

    def forbidden(self, users: UserBatch) -> tuple[Rows, Indices]:
        """Purchased items."""
        past = users.past
        kept_out = past.actions == PURCHASE
        return past.rows[kept_out], past.items[kept_out]
