"""What a release knows of text: which encoder reads it, and how its vectors become item vectors.

The encoder itself, some 90 MB that many releases share, is not part of a bundle: the manifest names
it by digest. A worker without it serves every item of the release, and cannot add new ones by text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.bundle.arrays import decode_npz, encode_npz, expect_shape
from stream_app.text import Projection, TextEncoder, TextError

PROJECTION_FILE = "projection.npz"
DTYPES = {"mean": np.float32, "matrix": np.float32}

Floats = NDArray[np.float32]


class TextSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest's `text`: what the vectors of the items were made from."""

    encoder: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    """Name of the sentence encoder."""
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    """Its digest, `stream_app.text.TextMeta.digest`."""
    dim: Annotated[int, msgspec.Meta(ge=2, le=8192)]
    """`t`, the size of a text vector."""
    delta_max: Annotated[float, msgspec.Meta(ge=0, le=100)]
    """How far a trained item may be from what its text alone gives."""


@dataclass(frozen=True)
class TextProjector:
    """Item vectors from texts, as this release makes them."""

    spec: TextSpec
    projection: Projection

    def project(self, vectors: Floats) -> Floats:
        """Item vectors `[B, d]` of text vectors `[B, t]`; see `Projection.project`."""
        return self.projection.project(vectors)

    def embed(self, texts: Sequence[str], encoder: TextEncoder | None) -> Floats:
        """Item vectors `[B, d]` of texts, unit length; a row of zeros for an empty text.

        Raises `TextError` without `encoder`, and for another one than the release was made with.
        """
        if encoder is None or encoder.digest != self.spec.sha256:
            given = "none is loaded" if encoder is None else f"sha256 {encoder.digest} is loaded"
            raise TextError(
                f"this release reads text with {self.spec.encoder}, sha256 {self.spec.sha256}, but "
                f"{given}; give the directory that it was trained with, or make it again with the "
                "same versions: `stream-app text-encoder export --out DIR`"
            )
        return self.project(encoder.encode(texts))


def encode_projection(projection: Projection) -> bytes:
    """`projection.npz`."""
    return encode_npz({name: getattr(projection, name) for name in DTYPES})


def decode_text(
    spec: TextSpec | None, contents: Mapping[str, bytes], *, dim: int
) -> TextProjector | None:
    """The projector of a bundle with item vectors of size `dim`, if it has one.

    Raises `ValueError` when file and manifest disagree.
    """
    if spec is None:
        return None
    projection = Projection(**decode_npz(contents[PROJECTION_FILE], DTYPES))
    expect_shape("mean", projection.mean, spec.dim)
    expect_shape("matrix", projection.matrix, spec.dim, dim)
    if not (np.isfinite(projection.mean).all() and np.isfinite(projection.matrix).all()):
        raise ValueError("holds values that are not finite")
    return TextProjector(spec, projection)


def check_listed(spec: TextSpec | None, files: Collection[str]) -> None:
    """Raise `ValueError` unless `projection.npz` is listed exactly when there is a `text`."""
    if spec is not None and PROJECTION_FILE not in files:
        raise ValueError(f"has a text, but lists no {PROJECTION_FILE}")
    if spec is None and PROJECTION_FILE in files:
        raise ValueError(f"lists {PROJECTION_FILE}, but has no text")
