"""Writing of a bundle: it appears under its path complete and tried out, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.bundle.arrays import encode_npy
from stream_app.bundle.files import BundleError
from stream_app.bundle.golden import GoldenHistory, encode_golden, make_golden
from stream_app.bundle.load import load_bundle
from stream_app.bundle.manifest import (
    GOLDEN_FILE,
    ITEMS_FILE,
    MANIFEST_FILE,
    PRIORS_FILE,
    VECTORS_FILE,
    DataWindow,
    Manifest,
    RankingWeights,
    encode_manifest,
)
from stream_app.bundle.priors import Priors, encode_priors
from stream_app.bundle.ranker import ReleasedRanker
from stream_app.bundle.text import PROJECTION_FILE, TextProjector, encode_projection
from stream_app.catalog import Catalog
from stream_app.encoders import EncoderError, EncoderSpec, load_encoder
from stream_app.encoders.load import ON_CPU


def write_bundle(
    path: Path | str,
    *,
    name: str,
    version: str,
    encoder: EncoderSpec,
    data: DataWindow,
    graph: bytes,
    items: Sequence[str],
    vectors: NDArray[np.floating],
    priors: Priors,
    golden: Sequence[GoldenHistory],
    text: TextProjector | None = None,
    optional: Mapping[str, bytes] | None = None,
    ranker: ReleasedRanker | None = None,
    metrics: Mapping[str, float | dict[str, float]] | None = None,
    ranking: RankingWeights | None = None,
    created: str | None = None,
    replace: bool = False,
) -> Manifest:
    """Write a release to the directory `path` and return its manifest.

    `graph` is the encoder as ONNX, by the contract of `stream_app.encoders.onnx`. `vectors`
    `[N, d]` are unit rows in the order of `items`, stored as float16. What the golden histories
    must give is computed here, with the encoder that will serve. `text` is how new items get a
    vector, if they can; `optional` holds files by name that a release may lack; `ranker`, if there
    is one, puts candidates in order in place of `ranking`. `created` is now unless given. An
    existing bundle is only written over with `replace`. Raises `BundleError` or `EncoderError`
    where the parts do not fit each other; nothing is then left at `path`.
    """
    path = Path(path)
    _refuse_existing(path, replace)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        stored = np.asarray(vectors, np.float16)
        files = {
            encoder.graph_file: graph,
            ITEMS_FILE: msgspec.msgpack.encode(list(items)),
            VECTORS_FILE: encode_npy(stored),
            PRIORS_FILE: encode_priors(priors),
            **(optional or {}),
        }
        if text is not None:
            files[PROJECTION_FILE] = encode_projection(text.projection)
        if ranker is not None:
            files |= ranker.files()
        write_files(draft, files)
        expected = _golden_bytes(draft, encoder, items, stored, golden)
        write_files(draft, {GOLDEN_FILE: expected})
        files[GOLDEN_FILE] = expected
        manifest = Manifest(
            name=name,
            version=version,
            created=created or datetime.now(UTC).isoformat(timespec="seconds"),
            encoder=encoder,
            data=data,
            metrics=dict(metrics or {}),
            ranking=ranking or RankingWeights(),
            ranker=ranker.spec if ranker is not None else None,
            text=text.spec if text is not None else None,
            files={file: hashlib.sha256(raw).hexdigest() for file, raw in files.items()},
        )
        write_files(draft, {MANIFEST_FILE: encode_manifest(manifest)})
        # What does not load must not be published.
        load_bundle(draft, backend=ON_CPU, index="exact")
        publish(draft, path)
    except ValueError as error:
        raise BundleError(f"bundle {path} cannot be written: {error}") from error
    except (BundleError, EncoderError) as error:
        raise type(error)(str(error).replace(str(draft), str(path))) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def _refuse_existing(path: Path, replace: bool) -> None:
    if not path.exists():
        return
    if not (path / MANIFEST_FILE).is_file():
        raise BundleError(f"{path} exists and is not a bundle; choose another path")
    if not replace:
        raise BundleError(f"bundle {path} exists; choose another path, or ask to replace it")


def _golden_bytes(
    draft: Path,
    spec: EncoderSpec,
    items: Sequence[str],
    stored: NDArray[np.float16],
    histories: Sequence[GoldenHistory],
) -> bytes:
    """`golden.npz` as computed from the stored vectors by the encoder that will serve."""
    catalog = Catalog(items, stored)
    return encode_golden(make_golden(histories, catalog, load_encoder(spec, draft, ON_CPU)))


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files and wait until they are on the disk."""
    for name, raw in files.items():
        with (directory / name).open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())


def publish(draft: Path, path: Path) -> None:
    """Give the finished directory its name; an older bundle there is set aside, then removed."""
    draft.chmod(0o755)  # temporary directories are private
    if not path.exists():
        draft.rename(path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-old-", dir=path.parent))
    path.rename(aside / path.name)
    try:
        draft.rename(path)
    except OSError:
        (aside / path.name).rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
