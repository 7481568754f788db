"""The texts of a catalogue as vectors, and which encoder read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.text import TextEncoder, TextMeta
from stream_app.text.projection import with_text
from stream_app.training.config import TrainingError

AT_ONCE = 2048  # texts between two signs of life: about ten seconds


@dataclass(frozen=True)
class ItemTexts:
    """A vector for each item that has a text."""

    ids: list[str]
    vectors: NDArray[np.float32]
    """`[M, t]`, unit length, in the order of `ids`."""
    encoder: TextMeta
    """What read the texts."""

    @classmethod
    def encode(
        cls,
        texts: Mapping[str, str],
        encoder: TextEncoder,
        *,
        wanted: Set[str] | None = None,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> ItemTexts:
        """Encode `texts` by item id; of them, only those of the items `wanted` where given.

        Items whose text is empty are left out. `on_progress` is told how many texts are done.
        Raises `TrainingError` when no text is left.
        """
        ids = [item_id for item_id in texts if wanted is None or item_id in wanted]
        parts = [np.empty((0, encoder.dim), np.float32)]
        for start in range(0, len(ids), AT_ONCE):
            part = ids[start : start + AT_ONCE]
            parts.append(encoder.encode([texts[item_id] for item_id in part]))
            on_progress(start + len(part))
        vectors = np.concatenate(parts)
        described = with_text(vectors)
        if not described.any():
            raise TrainingError(
                f"none of the {len(texts)} texts is of an item of the events; are their ids the "
                "same as in the events?"
            )
        kept = [item_id for item_id, one in zip(ids, described, strict=True) if one]
        return cls(kept, vectors[described], encoder.meta)

    def rows(self, item_ids: Sequence[str]) -> NDArray[np.float32]:
        """Vectors `[N, t]` of the items `item_ids`; zeros for one without text."""
        places = {item_id: at for at, item_id in enumerate(self.ids)}
        found = np.array([places.get(item_id, -1) for item_id in item_ids], np.int64)
        rows: NDArray[np.float32] = self.vectors[found] * (found >= 0)[:, None]
        return rows
