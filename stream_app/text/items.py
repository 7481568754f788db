"""What an item says: its text as the encoder reads it, or a vector that its producer made."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from schemas import Item, ItemVector
from stream_app.text.encoder import TextEncoder

NOTHING_SAID = b""
"""Content of an item without text and vector."""

_DIGEST_BYTES = 8


def item_text(item: Item) -> str:
    """Title, categories and description as one text: `Toy Story (1995). Adventure, Animation`."""
    parts = (item.title or "", ", ".join(item.categories), item.description or "")
    return ". ".join(part for part in parts if part.strip())


def own_vector(item: Item, encoder: str, dim: int) -> NDArray[np.float32] | None:
    """The vector `[t]`, unit length, that the producer gives for the text encoder of that name.

    None where there is none, and for one of another size or of zeros.
    """
    given = item.vectors.get(encoder)
    if given is None or len(given) != dim:
        return None
    vector = np.array(given, np.float64)
    largest = float(np.abs(vector).max())
    if not largest:
        return None
    vector /= largest  # the square of a large number may be no number
    unit: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


def content_of(item: Item, encoder: str, dim: int) -> bytes:
    """Digest of what the item says to the text encoder of that name, `NOTHING_SAID` if nothing."""
    vector = own_vector(item, encoder, dim)
    said = item_text(item).encode() if vector is None else b"\0" + vector.tobytes()
    return blake2b(said, digest_size=_DIGEST_BYTES).digest() if said else NOTHING_SAID


def read_items(items: Sequence[Item], encoder: TextEncoder) -> list[ItemVector]:
    """What `encoder` makes of the items, in their order: one that says nothing has no vector."""
    name, dim = encoder.meta.name, encoder.dim
    given = [own_vector(item, name, dim) for item in items]
    texts = [item_text(item) if own is None else "" for item, own in zip(items, given, strict=True)]
    made = []
    for item, own, read in zip(items, given, encoder.encode(texts), strict=True):
        vector = read if own is None else own
        made.append(
            ItemVector(
                item_id=item.item_id,
                encoder=encoder.digest,
                content=content_of(item, name, dim),
                vector=vector.astype("<f2").tobytes() if vector.any() else b"",
            )
        )
    return made
