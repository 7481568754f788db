"""Leave-one-out through the encoder: a user's ring without each of its events, in one batch.

The difference that an event makes to a score is its contribution (Cook 1977 for regression; here
as in "occlusion", Zeiler and Fergus 2014, arXiv:1311.2901). It is exact, not a gradient: the
scores are those that a list would have had if the event had never come. Contributions do not
add up to the score, since events say partly the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from stream_app.advance import Advancer
from stream_app.users.state import EVENT_BYTES, UserState


def without_each(history: bytes) -> list[UserState]:
    """The ring as it is, then without its first event, without its second, ...: `1 + n` rows.

    They have no vector yet: encode them with `encoded`.
    """
    places = range(0, len(history), EVENT_BYTES)
    left_out = [history[:at] + history[at + EVENT_BYTES :] for at in places]
    return [UserState(history=one) for one in (history, *left_out)]


def encoded(advancer: Advancer, rows: Sequence[UserState]) -> list[UserState] | None:
    """The rows with the states and vectors that a worker would have made, all in one batch.

    Runs an encoder of any kind: one with a state replays every ring, round by round for all rows;
    one with a window reads the last events of each. None when a vector is not finite.
    """
    updates = [advancer.begin(row) for row in rows]
    advancer.advance(updates)
    if any(update.broken for update in updates):
        return None
    return [update.state for update in updates]
