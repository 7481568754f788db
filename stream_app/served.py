"""What the rows know of the lists that were served: for the filter `served`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.messages import Recommendation
from stream_app.advance import UserUpdate
from stream_app.users.ids import item_hash
from stream_app.users.shown import with_list
from stream_app.users.state import Outcome

KNOWN_BEFORE = frozenset({Outcome.REPLAYED, Outcome.DUPLICATE, Outcome.UNCHANGED})
NOBODY: frozenset[str] = frozenset()


def repeating(users: Sequence[str], outcomes: Sequence[Outcome]) -> frozenset[str]:
    """Users of a batch of whom nothing is new: they get their last list again, not the one after.

    `users` are those of its records. So what is read again after a failure, in whatever batches,
    changes no row.
    """
    pairs = zip(users, outcomes, strict=True)
    return frozenset(users) - {user for user, outcome in pairs if outcome not in KNOWN_BEFORE}


def remember(
    updates: Mapping[str, UserUpdate], made: Sequence[Recommendation], repeated: frozenset[str]
) -> None:
    """Write lists into the rows of their users; those of `repeated` are there already."""
    for one in made:
        if one.user_id not in repeated:
            update = updates[one.user_id]
            update.state = with_list(update.state, [item_hash(item.item_id) for item in one.items])
