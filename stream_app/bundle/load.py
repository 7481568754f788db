"""Loading of a bundle: all of it is verified, or none of it serves."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.bundle.action_head import ACTION_HEAD_FILE, ActionHead, decode_action_head
from stream_app.bundle.arrays import decode_npy, expect_shape
from stream_app.bundle.files import REBUILD, BundleError
from stream_app.bundle.golden import TOP, check_golden, decode_golden
from stream_app.bundle.manifest import (
    GOLDEN_FILE,
    ITEMS_FILE,
    PRIORS_FILE,
    VECTORS_FILE,
    Manifest,
    read_manifest,
    read_verified,
)
from stream_app.bundle.priors import Priors, decode_priors
from stream_app.bundle.ranker import RANKER_FILE, Ranker, RankerItems, open_ranker
from stream_app.bundle.text import PROJECTION_FILE, TextProjector, decode_text
from stream_app.catalog import Catalog
from stream_app.degradations import Degradation, degraded
from stream_app.encoders import SequenceEncoder, load_encoder
from stream_app.retrieval import INDEX_KINDS, ItemIndex, build_index, recall

log = logging.getLogger(__name__)

# Approximate indexes reach 0.98 and more on trained vectors; below this, lists miss items visibly.
LOWEST_RECALL = 0.9


@dataclass(frozen=True)
class Bundle:
    """One model release in memory: what belongs together and is swapped together."""

    path: Path
    manifest: Manifest
    encoder: SequenceEncoder
    catalog: Catalog
    index: ItemIndex
    priors: Priors
    text: TextProjector | None = None
    """Vectors for new items from their text; None where the release knows items by id alone."""
    action_head: ActionHead | None = None
    """What a user would do with an item; None where it was not trained (`action_loss`)."""
    ranker: Ranker | None = None
    """What puts candidates in order; None where the weighted sum of the manifest does."""
    ranker_items: RankerItems | None = None
    """What the ranker asks about items; None likewise."""

    @property
    def release(self) -> str:
        """`name@version`."""
        return self.manifest.release


def load_bundle(
    path: Path | str,
    *,
    backend: str = "auto",
    index: str = "auto",
    precision: str = "fp32",
    public_key: Path | str | None = None,
) -> Bundle:
    """Verify, load and try out the bundle in the directory `path`.

    `backend` is one of `stream_app.encoders.load.BACKENDS`, `index` one of
    `stream_app.retrieval.INDEX_KINDS`, `precision` is `fp32` or that of a variant of the
    bundle. With `public_key`, a PEM file, the bundle must be signed with that key, which is checked
    before anything of it is interpreted. Raises `BundleError` when
    a file is missing, damaged or does not fit the others, or the golden batch does not come out as
    recorded; and `EncoderError` for a backend that is not available or a graph that it cannot run.
    """
    if index not in INDEX_KINDS:
        raise BundleError(f"index {index!r} is unknown; use one of {', '.join(INDEX_KINDS)}")
    path = Path(path)
    manifest = read_manifest(path, Path(public_key) if public_key else None)
    spec = manifest.encoder
    contents = read_verified(path, manifest)
    with _explained(path, ITEMS_FILE):
        ids = msgspec.msgpack.decode(contents[ITEMS_FILE], type=list[str])
    with _explained(path, VECTORS_FILE):
        catalog = Catalog(ids, _decode_vectors(contents[VECTORS_FILE], len(ids), spec.dim))
        item_index = build_index(catalog.vectors, index)
    with _explained(path, PRIORS_FILE):
        priors = decode_priors(contents[PRIORS_FILE], len(ids))
    with _explained(path, PROJECTION_FILE):
        text = decode_text(manifest.text, contents, dim=spec.dim)
    with _explained(path, ACTION_HEAD_FILE):
        raw_head = contents.get(ACTION_HEAD_FILE)
        head = None if raw_head is None else decode_action_head(raw_head, dim=spec.dim)
    with _explained(path, RANKER_FILE):
        ranker, asked = _decode_ranker(manifest, contents, len(ids))
    with _explained(path, GOLDEN_FILE):
        golden = decode_golden(
            contents[GOLDEN_FILE],
            items=len(ids),
            features=spec.features,
            state_size=spec.state_size,
            dim=spec.dim,
        )
    users = golden.users

    def try_out(candidate: SequenceEncoder) -> None:
        nonlocal users
        users = check_golden(golden, catalog, candidate, precision)

    graph = contents[graph_file(path, manifest, precision)]
    with _explained(path, "golden batch"):
        encoder = load_encoder(
            spec, path, backend, graph=graph, precision=precision, accept=try_out
        )
        if item_index.kind != "exact":
            item_index = _good_enough(item_index, catalog, users, may_replace=index == "auto")
    return Bundle(path, manifest, encoder, catalog, item_index, priors, text, head, ranker, asked)


@contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    """Turn an error about one part into a `BundleError` that names the bundle and the part."""
    try:
        yield
    except (ValueError, msgspec.MsgspecError) as error:
        raise BundleError(f"bundle {path}: {what}: {error}; {REBUILD}") from error


def graph_file(path: Path, manifest: Manifest, precision: str) -> str:
    """The file with the graph of the encoder of the bundle at `path`; raises `BundleError`."""
    if precision == "fp32":
        return manifest.encoder.graph_file
    for name, variant in manifest.variants.items():
        if name == precision:
            return variant.file
    raise BundleError(
        f"bundle {path}: holds no {precision} graph; make it with "
        f"`stream-app compile {path} --precision fp16` or `int8`"
    )


def _decode_ranker(
    manifest: Manifest, contents: Mapping[str, bytes], items: int
) -> tuple[Ranker | None, RankerItems | None]:
    if manifest.ranker is None:
        return None, None
    return open_ranker(manifest.ranker, contents, items=items, dim=manifest.encoder.dim)


def _decode_vectors(raw: bytes, items: int, dim: int) -> NDArray[np.float32]:
    vectors = decode_npy(raw)
    if vectors.dtype not in (np.float16, np.float32):
        raise ValueError(f"is {vectors.dtype}, expected float16 or float32")
    expect_shape("the array", vectors, items, dim)
    return vectors.astype(np.float32)


def _good_enough(
    index: ItemIndex, catalog: Catalog, users: NDArray[np.float32], *, may_replace: bool
) -> ItemIndex:
    """The index if it finds enough of the nearest items of `users`, else an exact one if allowed.

    How well an approximate index does depends on the vectors: those that hardly cluster defeat it.
    """
    share = recall(index, catalog.vectors, users, TOP)
    if share >= LOWEST_RECALL:
        return index
    found = f"the {index.kind} index finds {share:.0%} of the nearest items"
    if not may_replace:
        raise ValueError(f"{found}, at least {LOWEST_RECALL:.0%} are needed; use index `exact`")
    log.warning("%s: using an exact index instead", found)
    degraded(Degradation.INDEX_REPLACED)
    return build_index(catalog.vectors, "exact")
