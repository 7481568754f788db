"""The golden batch: histories whose encoding is known, replayed before a release serves.

Checksums prove that the files are those that were written; this proves that this machine and this
backend compute with them what the machine that wrote them did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bundle.arrays import decode_npz, encode_npz, expect_shape
from stream_app.catalog import Catalog
from stream_app.encoders import History, SequenceEncoder
from stream_app.encoders.trial import TOLERANCES
from stream_app.retrieval import ExactIndex

TOP = 10

Floats = NDArray[np.float32]
DTYPES = {
    "items": np.int32,
    "features": np.float32,
    "lengths": np.int32,
    "states": np.float32,
    "users": np.float32,
    "top": np.int32,
}


class GoldenHistory(NamedTuple):
    """One user's events, oldest first."""

    items: NDArray[np.int32]
    """`[L]` catalogue positions."""
    features: Floats
    """`[L, f]` event features, made by `stream_app.users.features`."""


@dataclass(frozen=True)
class Golden:
    """`golden.npz`: histories end to end, and what they must give."""

    items: NDArray[np.int32]
    """`[T]` catalogue positions of all events."""
    features: Floats
    """`[T, f]`."""
    lengths: NDArray[np.int32]
    """`[B]` events of each history."""
    states: Floats
    """`[B, S]` expected."""
    users: Floats
    """`[B, d]` expected."""
    top: NDArray[np.int32]
    """`[B, 10]` expected nearest items, best first, -1 where there are fewer."""

    def histories(self, catalog: Catalog) -> list[History]:
        """The histories as the encoder takes them."""
        ends = np.cumsum(self.lengths)[:-1]
        vectors = np.split(catalog.vectors_of(self.items), ends)
        return [*map(History, vectors, np.split(self.features, ends))]


def make_golden(
    histories: Sequence[GoldenHistory], catalog: Catalog, encoder: SequenceEncoder
) -> Golden:
    """Record what `encoder` and an exact search give for these histories (at least one)."""
    if not histories or not all(len(history.items) for history in histories):
        raise ValueError("the golden batch needs at least one history, and no empty one")
    items = np.concatenate([history.items for history in histories]).astype(np.int32)
    features = np.concatenate([history.features for history in histories]).astype(np.float32)
    lengths = np.array([len(history.items) for history in histories], np.int32)
    _check_events(items, features, lengths, len(catalog))
    inputs = [History(catalog.vectors_of(part.items), part.features) for part in histories]
    states, users = encoder.encode(inputs)
    top, _ = ExactIndex(catalog.vectors).search(users, TOP)
    return Golden(items, features, lengths, states, users, top)


def check_golden(
    golden: Golden, catalog: Catalog, encoder: SequenceEncoder, precision: str = "fp32"
) -> Floats:
    """Return the user vectors `[B, d]` of the golden batch, which are as recorded.

    They may differ as much as `precision` explains. Raises `ValueError` where encoder or item
    vectors do not give what is recorded.
    """
    tolerance = TOLERANCES[precision]
    states, users = encoder.encode(golden.histories(catalog))
    for name, found, expected in (
        ("states", states, golden.states),
        ("user vectors", users, golden.users),
    ):
        # Written so that a NaN, which compares false, is a mismatch.
        close = np.abs(found - expected) <= tolerance * (1 + np.abs(expected))
        if not close.all():
            raise ValueError(
                f"{name} on {encoder.backend} differ from the recorded ones by up to "
                f"{np.abs(found - expected).max():.2g} (tolerance {tolerance})"
            )
    _, best = ExactIndex(catalog.vectors).search(users, TOP)
    scores = np.einsum("bd,bkd->bk", users, catalog.vectors_of(golden.top))
    scores = np.where(golden.top < 0, -np.inf, scores)
    # By score: two items as good as each other may change places on another CPU.
    if not np.isclose(scores, best, rtol=0, atol=tolerance).all():
        raise ValueError("the nearest items differ from the recorded ones")
    return users


def encode_golden(golden: Golden) -> bytes:
    """`golden.npz`."""
    return encode_npz({name: getattr(golden, name) for name in DTYPES})


def decode_golden(raw: bytes, *, items: int, features: int, state_size: int, dim: int) -> Golden:
    """Read `golden.npz` of a bundle with these sizes; raises `ValueError`."""
    golden = Golden(**decode_npz(raw, DTYPES))
    users = len(golden.lengths) if golden.lengths.ndim == 1 else 0
    expect_shape("features", golden.features, -1, features)
    expect_shape("states", golden.states, users, state_size)
    expect_shape("users", golden.users, users, dim)
    expect_shape("top", golden.top, users, TOP)
    _check_events(golden.items, golden.features, golden.lengths, items)
    if not users or golden.top.min() < -1 or golden.top.max() >= items:
        raise ValueError("holds no history, or positions outside the catalogue")
    return golden


def _check_events(
    items: NDArray[np.int32], features: Floats, lengths: NDArray[np.int32], count: int
) -> None:
    total = int(lengths.sum())
    expect_shape("lengths", lengths, -1)
    expect_shape("items", items, total)
    expect_shape("features", features, total, -1)
    if lengths.size and lengths.min() < 1:
        raise ValueError("lengths hold an empty history")
    if items.size and not (items.min() >= -1 and items.max() < count):
        raise ValueError(f"items hold positions outside -1..{count - 1}")
