"""What the training data says about items before the stream does: transitions and popularity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.bundle.arrays import decode_npz, encode_npz, expect_shape, expect_weights

FANOUT = 32
"""Successors kept per item: the live transition store has the same width."""

DTYPES = {"successors": np.int32, "counts": np.float32, "popularity": np.float32}


@dataclass(frozen=True)
class Priors:
    """Counts by catalogue position."""

    successors: NDArray[np.int32]
    """`[N, 32]` positions of the items that most often came next, -1 where there is none."""
    counts: NDArray[np.float32]
    """`[N, 32]` how often they did."""
    popularity: NDArray[np.float32]
    """`[N]` how often the item occurred."""

    @classmethod
    def empty(cls, items: int) -> Priors:
        """Priors that know nothing."""
        return cls(
            successors=np.full((items, FANOUT), -1, np.int32),
            counts=np.zeros((items, FANOUT), np.float32),
            popularity=np.zeros(items, np.float32),
        )

    def check(self, items: int) -> None:
        """Raise `ValueError` unless the arrays fit a catalogue of this many items."""
        expect_shape("successors", self.successors, items, FANOUT)
        expect_shape("counts", self.counts, items, FANOUT)
        expect_shape("popularity", self.popularity, items)
        if items and not (self.successors.min() >= -1 and self.successors.max() < items):
            raise ValueError(f"successors hold positions outside -1..{items - 1}")
        expect_weights("counts", self.counts)
        expect_weights("popularity", self.popularity)


def encode_priors(priors: Priors) -> bytes:
    """`priors.npz`."""
    return encode_npz({name: getattr(priors, name).astype(t) for name, t in DTYPES.items()})


def decode_priors(raw: bytes, items: int) -> Priors:
    """Read `priors.npz` of a catalogue of `items` items; raises `ValueError`."""
    priors = Priors(**decode_npz(raw, DTYPES))
    priors.check(items)
    return priors
