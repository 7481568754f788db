"""The sequence state of a user: what is remembered of what one user did."""

from stream_app.users.actions import ACTIONS, action_code
from stream_app.users.codec import decode_state, encode_state
from stream_app.users.features import FEATURES, event_gaps, sequence_features
from stream_app.users.ids import item_hash
from stream_app.users.state import (
    EVENT_DTYPE,
    HISTORY_LENGTH,
    Outcome,
    SourceEvent,
    UserState,
    apply,
    events_of,
)

__all__ = [
    "ACTIONS",
    "EVENT_DTYPE",
    "FEATURES",
    "HISTORY_LENGTH",
    "Outcome",
    "SourceEvent",
    "UserState",
    "action_code",
    "apply",
    "decode_state",
    "encode_state",
    "event_gaps",
    "events_of",
    "item_hash",
    "sequence_features",
]
