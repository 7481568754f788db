"""What operators pin, so that it can be in a list that nothing else brings it into."""

from __future__ import annotations

import numpy as np

from stream_app.ranking.batch import UserBatch
from stream_app.ranking.candidates import Proposal


class Pinned:
    """The items of the batch's pins, the same for everybody."""

    name = "pinned"

    def propose(self, users: UserBatch) -> list[Proposal]:
        """One shared row of items; nothing where nothing is pinned."""
        pins = users.terms.pins
        if not pins:
            return []
        return [Proposal(np.unique(np.concatenate([pin.items for pin in pins]))[None, :])]
