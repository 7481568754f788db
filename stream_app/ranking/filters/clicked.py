"""Keeps out what the user has seen already. Leave it out where people come back to items."""

from __future__ import annotations

import numpy as np

from stream_app.ranking.batch import NONE, Indices, UserBatch
from stream_app.users.actions import PURCHASE


class Clicked:
    """Forbids items with any event but a purchase in the user's history."""

    name = "clicked"

    def forbidden(self, users: UserBatch) -> Indices:
        """Seen items `[R, L]`."""
        return np.where(users.actions != PURCHASE, users.history, np.int32(NONE))
