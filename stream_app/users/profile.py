"""The profile in a user's row: what was said of the user, and what an encoder made of the text.

`apply_profile` is as pure as `apply` is for events: the row depends on the records and on nothing
else. The vector is a copy of what the text gives, as a user vector is of the history: it names its
encoder, and is made again when another one serves.
"""

from __future__ import annotations

from typing import Any

import msgspec

from schemas import Profile
from stream_app.users.state import Outcome, UserState, advanced

DIGEST_CHARACTERS = 16
"""Of the hexadecimal digest of a text encoder: enough to tell any two apart."""


class UserProfile(
    msgspec.Struct, frozen=True, gc=False, array_like=True, omit_defaults=True,
    forbid_unknown_fields=False,
):  # fmt: skip
    """What `UserState.profile` holds."""

    text: str = ""
    """At most `schemas.MAX_TEXT` characters."""
    attributes: dict[str, Any] = {}
    encoder: str = ""
    """First characters of the digest of the encoder that has read the text; empty: none has."""
    vector: bytes = b""
    """What it made of it, float16 `[t]`, little-endian; empty where that is nothing."""


NO_PROFILE = UserProfile()

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(UserProfile).decode


class ProfileChange(msgspec.Struct, frozen=True, gc=False):
    """One record of the topic `profiles` as the row takes it."""

    profile: Profile | None
    """None withdraws it."""
    source: str
    """`topic/partition`."""
    offset: int


def profile_of(state: UserState) -> UserProfile:
    """The profile in a row. Raises ValueError for one that is damaged."""
    if not state.profile:
        return NO_PROFILE
    try:
        return _unpack(state.profile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"user row is damaged: the profile cannot be read: {error}") from None


def apply_profile(state: UserState, change: ProfileChange) -> tuple[UserState, Outcome]:
    """Return the state after a profile was said or withdrawn, and what was done.

    A withdrawal that finds no profile changes nothing, not even what is remembered: the tombstone
    that follows an erasure must not begin a new row.
    """
    if change.offset <= state.offsets.get(change.source, -1):
        return state, Outcome.REPLAYED
    said = change.profile
    if said is None and not state.profile:
        return state, Outcome.UNCHANGED
    offsets = advanced(state.offsets, change.source, change.offset)
    packed = b"" if said is None else _packed(said, profile_of(state))
    return msgspec.structs.replace(state, offsets=offsets, profile=packed), Outcome.APPLIED


def with_reading(state: UserState, encoder: str, vector: bytes) -> UserState:
    """The state with what the encoder of that digest has made of the profile's text."""
    read = msgspec.structs.replace(
        profile_of(state), encoder=encoder[:DIGEST_CHARACTERS], vector=vector
    )
    return msgspec.structs.replace(state, profile=_pack(read))


def unread(profile: UserProfile, encoder: str) -> bool:
    """Whether there is a text that the encoder of that digest has not read."""
    return bool(profile.text) and profile.encoder != encoder[:DIGEST_CHARACTERS]


def _packed(said: Profile, before: UserProfile) -> bytes:
    """The new profile; the same text need not be read again."""
    text = said.text or ""
    if text and text == before.text:
        return _pack(UserProfile(text, said.attributes, before.encoder, before.vector))
    return _pack(UserProfile(text, said.attributes))
