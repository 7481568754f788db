"""Keeps out what the user has seen already. Leave it out where people come back to items."""

from __future__ import annotations

from stream_app.ranking.batch import EXCLUDED, Indices, Rows, UserBatch
from stream_app.users.actions import PURCHASE


class Clicked:
    """Forbids items with any event but a purchase."""

    name = "clicked"

    def forbidden(self, users: UserBatch) -> tuple[Rows, Indices]:
        """Seen items."""
        past = users.past
        kept_out = (past.actions != PURCHASE) & (past.actions != EXCLUDED)
        return past.rows[kept_out], past.items[kept_out]
