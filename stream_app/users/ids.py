"""Stable 8-byte hashes of identifiers: what a user's row stores instead of strings."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

# Item ids repeat all the time: a hit costs a tenth of a digest. About 10 MB when full.
_CACHED_ITEMS = 1 << 16


def id_digest(text: str) -> bytes:
    """8 bytes of BLAKE2b of the UTF-8 text; the same on every machine and in every process."""
    return blake2b(text.encode(), digest_size=8).digest()


def list_id(user_id: str, topic: str, partition: int, offset: int) -> str:
    """Id of the list of a user that a record of a topic led to: 12 bytes of BLAKE2b, hex."""
    text = f"{user_id}\0{topic}\0{partition}\0{offset}"
    return blake2b(text.encode(), digest_size=12).hexdigest()


@lru_cache(maxsize=_CACHED_ITEMS)
def item_hash(item_id: str) -> int:
    """Hash of an item id as an unsigned 64-bit integer (the digest read little-endian).

    Two of a million items share a hash with probability 3e-8.
    """
    return int.from_bytes(id_digest(item_id), "little")
