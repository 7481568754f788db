"""A user's row as bytes: a MessagePack map with one-letter keys and a version (`v`).

A reader keeps the fields it does not know and writes them back, so workers of two releases can
share the rows while one replaces the other.
"""

from __future__ import annotations

from typing import Any

import msgspec

from stream_app.users.profile import profile_of
from stream_app.users.shown import SHOWN_BYTES
from stream_app.users.state import DIGEST_BYTES, EVENT_BYTES, ROW_VERSION, SEEN_BYTES, UserState

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(UserState).decode
_decode_map = msgspec.msgpack.Decoder(dict[str, Any]).decode

_VERSION = "v"
_EXTRA = "extra"
_KNOWN = {field.encode_name for field in msgspec.structs.fields(UserState)} - {_EXTRA} | {_VERSION}


def encode_state(state: UserState) -> bytes:
    """The row of a state."""
    if not state.extra:
        return _encode(state)
    known = msgspec.to_builtins(
        msgspec.structs.replace(state, extra={}), builtin_types=(bytes, bytearray)
    )
    return _encode(known | state.extra)


def decode_state(row: bytes) -> UserState:
    """The state of a row.

    Raises ValueError, saying what is wrong, for a row that was not written by `encode_state` or
    was damaged since. A damaged row cannot be repaired from itself: the history of its user has
    to be read again from the source topics.
    """
    try:
        state = _decode(row)
    except msgspec.DecodeError:  # also what does not validate: look closer
        state = _decode_slowly(row)
    _check(state)
    return state


def _decode_slowly(row: bytes) -> UserState:
    """A row with fields of a newer writer, or a damaged one."""
    try:
        fields = _decode_map(row)
    except msgspec.DecodeError as error:
        raise ValueError(
            f"user row of {len(row)} bytes is not a MessagePack map: {error}"
        ) from None
    version = fields.get(_VERSION)
    if not isinstance(version, int) or version < ROW_VERSION:
        raise ValueError(
            f"user row has version {version!r}, this release reads {ROW_VERSION} and newer"
        )
    extra = {key: value for key, value in fields.items() if key not in _KNOWN}
    if version > ROW_VERSION:
        extra[_VERSION] = version
    known = {key: value for key, value in fields.items() if key in _KNOWN and key != _VERSION}
    try:
        state = msgspec.convert(known, UserState)
    except msgspec.ValidationError as error:
        raise ValueError(f"user row is damaged: {error}") from None
    return msgspec.structs.replace(state, extra=extra)


_MOST = 2**62
"""No count and no offset comes near; what does is damage, and could not be counted on."""


def _check(state: UserState) -> None:
    """Refuse numbers that cannot be, and blobs that are not whole numbers of what they hold."""
    numbers = (state.events, state.late, state.duplicates, *state.offsets.values())
    if not 0 <= min(numbers) <= max(numbers) < _MOST:
        raise ValueError(f"user row is damaged: a counter or offset is not in 0..{_MOST}")
    if state.profile:
        profile_of(state)
    for name, blob, size in (
        ("history", state.history, EVENT_BYTES),
        ("seen", state.seen, SEEN_BYTES),
        ("event_ids", state.event_ids, DIGEST_BYTES),
        ("hidden", state.hidden, 2),
        ("vector", state.vector, 2),
        ("shown", state.shown, SHOWN_BYTES),
        ("served", state.served, SHOWN_BYTES),
    ):
        if len(blob) % size:
            raise ValueError(
                f"user row is damaged: {name} is {len(blob)} bytes, "
                f"not a whole number of {size}-byte entries"
            )
    if not 0 <= state.last_list * SHOWN_BYTES <= len(state.served):
        raise ValueError(
            f"user row is damaged: the last list has {state.last_list} entries of "
            f"{len(state.served) // SHOWN_BYTES} that were served"
        )
