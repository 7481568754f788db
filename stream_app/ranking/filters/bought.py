"""Keeps out what the user has bought."""

from __future__ import annotations

import numpy as np

from stream_app.ranking.batch import NONE, Indices, UserBatch
from stream_app.users.actions import PURCHASE


class Bought:
    """Forbids items with a purchase in the user's history."""

    name = "bought"

    def forbidden(self, users: UserBatch) -> Indices:
        """Purchased items `[R, L]`."""
        return np.where(users.actions == PURCHASE, users.history, np.int32(NONE))
