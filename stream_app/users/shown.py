"""What a user was shown, and what was served: the two rings of a row that keep lists fresh.

Pure like `apply`, and without a clock: `shown` after a sequence of impressions depends on nothing
but the sequence. `served` depends on the lists that were made as well, and a worker makes one list
for all that a batch holds of a user: other batches, other lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack

import msgspec
import numpy as np

from stream_app.users.state import Outcome, UserState, advanced

SHOWN_LENGTH = 400
"""Items remembered in each ring: forty lists of ten."""
SHOWN_DTYPE = np.dtype([("item", "<u4"), ("second", "<u4")])
"""One packed entry: the low 32 bits of the item's hash, and the event time in Unix seconds."""
SHOWN_BYTES = SHOWN_DTYPE.itemsize

_MOST_BYTES = SHOWN_LENGTH * SHOWN_BYTES
_LOW = 0xFFFF_FFFF
_LAST_SECOND = 0xFFFF_FFFF  # in the year 2106; what says to be later is held to be of then


class SourceImpression(msgspec.Struct, frozen=True, gc=False):
    """One impression as the row takes it, with the place on Kafka it was read from."""

    items: tuple[int, ...]
    """`item_hash` of each item, in the order in which they were shown."""
    timestamp_ms: int
    source: str
    """`topic/partition`."""
    offset: int


def apply_impression(state: UserState, impression: SourceImpression) -> tuple[UserState, Outcome]:
    """Return the state after one impression, and what was done with it: applied or replayed.

    Impressions stand in the order of their topic, whatever their times, and change nothing that
    events make: the two can be applied in any order.
    """
    if impression.offset <= state.offsets.get(impression.source, -1):
        return state, Outcome.REPLAYED
    after = msgspec.structs.replace(
        state,
        shown=shown_after(state.shown, impression),
        offsets=advanced(state.offsets, impression.source, impression.offset),
    )
    return after, Outcome.APPLIED


def shown_after(shown: bytes, impression: SourceImpression) -> bytes:
    """The ring `UserState.shown` after one more impression."""
    return (shown + _packed(impression.items, impression.timestamp_ms))[-_MOST_BYTES:]


def with_list(state: UserState, items: Sequence[int]) -> UserState:
    """The state with a list that is served: the `item_hash` of its items, the best first.

    It is served at the event time of the newest event, as lists after events are made. A list that
    is longer than the ring is remembered by its best items.
    """
    entries = _packed(items[SHOWN_LENGTH - 1 :: -1], state.last_timestamp_ms)
    served = (state.served + entries)[-_MOST_BYTES:]
    return msgspec.structs.replace(state, served=served, last_list=min(len(items), SHOWN_LENGTH))


def before_last_list(state: UserState) -> UserState:
    """The state that the last list was made from, as far as `served` goes.

    But for what that list pushed out of the ring.
    """
    if not state.last_list:
        return state
    served = state.served[: -state.last_list * SHOWN_BYTES]
    return msgspec.structs.replace(state, served=served, last_list=0)


def _packed(items: Sequence[int], timestamp_ms: int) -> bytes:
    second = min(timestamp_ms // 1000, _LAST_SECOND)
    numbers = [number for item in items for number in (item & _LOW, second)]
    return pack(f"<{len(numbers)}I", *numbers)
