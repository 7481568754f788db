"""From the vector of a text to the vector of an item without any event: what a new item gets.

`item = normalise((text - mean) @ matrix)`, where the matrix is a whitening of the texts of the
training catalogue times the trained `W`. Raw vectors of a sentence encoder sit in a narrow cone,
where the products of any two are nearly equal; whitening spreads them (Hou et al. 2022,
https://arxiv.org/abs/2206.05941). Training and serving call the same function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SMALLEST_LENGTH = 1e-12
# Added to each variance, relative to their mean: directions that hardly vary are noise, and would
# be blown up to the size of the others.
SHRINKAGE = 0.05


class Whitening(NamedTuple):
    """Centre and matrix that give the texts of the training catalogue variance 1 everywhere."""

    mean: Floats
    """`[t]`."""
    matrix: Floats
    """`[t, r]`, the direction of the largest variance first."""


@dataclass(frozen=True)
class Projection:
    """What a release makes item vectors of text vectors with."""

    mean: Floats
    """`[t]`."""
    matrix: Floats
    """`[t, d]`."""

    @classmethod
    def of(cls, whitening: Whitening, weights: Floats) -> Projection:
        """Whitening and `W` `[r, d]` as one matrix: what lies between them changes no direction."""
        matrix = whitening.matrix.astype(np.float64) @ weights.astype(np.float64)
        return cls(whitening.mean, matrix.astype(np.float32))

    @property
    def text_dim(self) -> int:
        """`t`, the size of a text vector."""
        return int(self.matrix.shape[0])

    @property
    def dim(self) -> int:
        """`d`, the size of an item vector."""
        return int(self.matrix.shape[1])

    def project(self, texts: Floats) -> Floats:
        """Item vectors `[B, d]` float32 of text vectors `[B, t]`, unit length.

        A row of zeros, which is what an empty text has, stays one: an item without a vector.
        Raises `ValueError` for another width, or values that are not finite.
        """
        if texts.ndim != 2 or texts.shape[1] != self.text_dim:
            raise ValueError(
                f"text vectors have shape {list(texts.shape)}, expected [B, {self.text_dim}]"
            )
        if not np.isfinite(texts).all():
            raise ValueError("text vectors hold values that are not finite")
        return unit_rows(((texts - self.mean) @ self.matrix) * with_text(texts)[:, None])


def fit_whitening(texts: Floats, rank: int) -> Whitening:
    """The whitening of text vectors `[N, t]`, keeping the `rank` directions of largest variance.

    Fewer where there are not so many: `N - 1` and `t` bound it. Rows of zeros do not count.
    Raises `ValueError` for fewer than two texts, or if no two differ.
    """
    known = texts[with_text(texts)].astype(np.float64)
    rank = min(rank, texts.shape[1], len(known) - 1)
    if rank < 1:
        raise ValueError(f"there are {len(known)}, at least 2 are needed")
    mean = known.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((known - mean).T, bias=True))
    variances, axes = np.maximum(variances[::-1], 0), axes[:, ::-1]
    if variances[0] <= SMALLEST_LENGTH:
        raise ValueError("they are all the same, so that nothing tells items apart by them")
    # The sign of an axis is the solver's choice: the largest part is made positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    scale = 1 / np.sqrt(variances[:rank] + SHRINKAGE * variances.mean())
    return Whitening(mean.astype(np.float32), (axes[:, :rank] * scale).astype(np.float32))


def with_text(texts: Floats) -> NDArray[np.bool_]:
    """Which of the text vectors `[N, t]` are one: zeros stand for an item without text `[N]`."""
    known: NDArray[np.bool_] = np.any(texts, axis=1)
    return known


def unit_rows(rows: NDArray[np.floating]) -> Floats:
    """Rows at unit length, float32; a row of zeros stays one."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: Floats = (rows / np.maximum(lengths, SMALLEST_LENGTH)).astype(np.float32)
    return unit
