"""Keeps out what a request excludes."""

from __future__ import annotations

from stream_app.ranking.batch import EXCLUDED, Indices, Rows, UserBatch


class Excluded:
    """Forbids the items that whoever asks for the list named."""

    name = "excluded"

    def forbidden(self, users: UserBatch) -> tuple[Rows, Indices]:
        """Excluded items."""
        past = users.past
        kept_out = past.actions == EXCLUDED
        return past.rows[kept_out], past.items[kept_out]
