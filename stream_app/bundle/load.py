"""Loading of a bundle: all of it is verified, or none of it serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.bundle.arrays import decode_npy, expect_shape
from stream_app.bundle.golden import check_golden, decode_golden
from stream_app.bundle.manifest import (
    GOLDEN_FILE,
    ITEMS_FILE,
    PRIORS_FILE,
    REBUILD,
    VECTORS_FILE,
    BundleError,
    Manifest,
    read_manifest,
    read_verified,
)
from stream_app.bundle.priors import Priors, decode_priors
from stream_app.catalog import Catalog
from stream_app.encoders import SequenceEncoder, load_encoder
from stream_app.retrieval import INDEX_KINDS, ItemIndex, build_index


@dataclass(frozen=True)
class Bundle:
    """One model release in memory: what belongs together and is swapped together."""

    path: Path
    manifest: Manifest
    encoder: SequenceEncoder
    catalog: Catalog
    index: ItemIndex
    priors: Priors

    @property
    def release(self) -> str:
        """`name@version`."""
        return self.manifest.release


def load_bundle(path: Path | str, *, backend: str = "auto", index: str = "auto") -> Bundle:
    """Verify, load and try out the bundle in the directory `path`.

    `backend` is one of `stream_app.encoders.load.BACKENDS`, `index` one of
    `stream_app.retrieval.INDEX_KINDS`. Raises `BundleError` when a file is missing, damaged or
    does not fit the others, and when the golden batch does not come out as recorded; and
    `EncoderError` for a backend that is not available.
    """
    if index not in INDEX_KINDS:
        raise BundleError(f"index {index!r} is unknown; use one of {', '.join(INDEX_KINDS)}")
    path = Path(path)
    manifest = read_manifest(path)
    spec = manifest.encoder
    contents = read_verified(path, manifest)
    with _explained(path, ITEMS_FILE):
        ids = msgspec.msgpack.decode(contents[ITEMS_FILE], type=list[str])
    with _explained(path, VECTORS_FILE):
        catalog = Catalog(ids, _decode_vectors(contents[VECTORS_FILE], len(ids), spec.dim))
        item_index = build_index(catalog.vectors, index)
    with _explained(path, PRIORS_FILE):
        priors = decode_priors(contents[PRIORS_FILE], len(ids))
    encoder = load_encoder(spec, path, backend)
    with _explained(path, GOLDEN_FILE):
        golden = decode_golden(
            contents[GOLDEN_FILE],
            items=len(ids),
            features=spec.features,
            state_size=spec.state_size,
            dim=spec.dim,
        )
    with _explained(path, "golden batch"):
        check_golden(golden, catalog, encoder, item_index)
    return Bundle(path, manifest, encoder, catalog, item_index, priors)


@contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    """Turn an error about one part into a `BundleError` that names the bundle and the part."""
    try:
        yield
    except (ValueError, msgspec.MsgspecError) as error:
        raise BundleError(f"bundle {path}: {what}: {error}; {REBUILD}") from error


def _decode_vectors(raw: bytes, items: int, dim: int) -> NDArray[np.float32]:
    vectors = decode_npy(raw)
    if vectors.dtype not in (np.float16, np.float32):
        raise ValueError(f"is {vectors.dtype}, expected float16 or float32")
    expect_shape("the array", vectors, items, dim)
    return vectors.astype(np.float32)
