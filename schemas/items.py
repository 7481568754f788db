"""What travels about items: what producers say of one, and the vector that a worker made of it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.messages import Id, Name, Number, Price, Timestamp

# Far more than a catalogue has, and little enough that a million items fit into a worker.
MAX_TITLE = 1_000
MAX_DESCRIPTION = 20_000
MAX_CATEGORIES = 64
MAX_ATTRIBUTES = 128
MAX_RELATED = 200
MAX_VECTORS = 8
MAX_VECTOR = 8_192

# Integers that every reader of JSON keeps exactly.
Whole = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
Attribute = Annotated[str, msgspec.Meta(max_length=1_000)] | Whole | Number | bool
Vector = Annotated[tuple[Number, ...], msgspec.Meta(min_length=1, max_length=MAX_VECTOR)]


class Item(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """An item that can be recommended (topic `items`); it replaces what was said of it before.

    A record with the item's key and a null value takes it out of the catalogue.
    """

    item_id: Id
    title: Annotated[str, msgspec.Meta(max_length=MAX_TITLE)] | None = None
    description: Annotated[str, msgspec.Meta(max_length=MAX_DESCRIPTION)] | None = None
    categories: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_CATEGORIES)] = ()
    attributes: Annotated[dict[Name, Attribute], msgspec.Meta(max_length=MAX_ATTRIBUTES)] = {}
    price: Price | None = None
    """In `currency`."""
    currency: Annotated[str, msgspec.Meta(min_length=3, max_length=3)] | None = None
    """ISO 4217 code."""
    available_from_ms: Timestamp | None = None
    """Not recommended before."""
    available_until_ms: Timestamp | None = None
    """Not recommended from then on."""
    popularity: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    """How popular it is expected to be, in events like those of the training data: where nothing
    personal is known, items go by it. Null: as the release knows it."""
    related: Annotated[tuple[Id, ...], msgspec.Meta(max_length=MAX_RELATED)] = ()
    """Items that go with it."""
    vectors: Annotated[dict[Name, Vector], msgspec.Meta(max_length=MAX_VECTORS)] = {}
    """Vectors of the producer's own. The one named as the release's text encoder is taken in place
    of the text."""


class ItemTrend(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """How often events fell on an item, later ones counting more (topic `item-trends`, internal).

    Of the events in the partitions of the event topics with the number of the record's partition.
    """

    item_id: Id
    release: str
    """`name@version` of the release that was served while it was counted."""
    half_life_ms: Number
    """An event counts twice as much as one so many ms before."""
    level: Number
    """log2 of the sum over events of 2 ** (Unix ms / half_life_ms); it never falls."""
    at_ms: Timestamp
    """Time of the newest event that the writer had counted, of any item."""


class ItemVector(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What a text encoder made of an item (topic `item-vectors`, internal)."""

    item_id: Id
    encoder: str
    """Digest of the text encoder (SHA-256, hex)."""
    content: bytes
    """Digest of what the vector was made of."""
    vector: bytes
    """float16, little-endian, unit length; empty for an item that says nothing."""
