"""What is known of a user beside what the user did."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.items import Attribute
from schemas.messages import Id, Name, Timestamp

MAX_TEXT = 2_000
"""Characters of a profile's text: an encoder reads the first few hundred words at most."""
MAX_USER_ATTRIBUTES = 32


class Profile(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What a user says, or is known of the user (topic `profiles`).

    It replaces what the topic said of the user before. A record with the user's key and a null
    value withdraws it. Of the records of a user the last on the topic holds, whatever their times.
    """

    user_id: Id
    text: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] | None = None
    """What the user likes, in the user's own words: answers given at the beginning, a query."""
    attributes: Annotated[dict[Name, Attribute], msgspec.Meta(max_length=MAX_USER_ATTRIBUTES)] = {}
    """For rules and context, such as `{"country": "NZ", "member": true}`."""
    timestamp_ms: Timestamp | None = None
    """When it was said, for the records of whoever sends it; nothing depends on it."""
