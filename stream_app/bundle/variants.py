"""The encoder of a bundle in fewer bits: measured, and added to the bundle beside its own graph."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from stream_app.bundle.files import SIGNATURE_FILE, BundleError
from stream_app.bundle.golden import TOP, Golden, decode_golden
from stream_app.bundle.load import Bundle, load_bundle
from stream_app.bundle.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    Precision,
    Variant,
    encode_manifest,
    read_manifest,
    read_verified,
)
from stream_app.bundle.write import publish, write_files
from stream_app.encoders import EncoderError, load_encoder
from stream_app.encoders.load import ON_CPU
from stream_app.encoders.precision import to_precision, variant_file
from stream_app.retrieval import ExactIndex


def convert(path: Path, precision: Precision) -> tuple[bytes, Bundle]:
    """The graph of the bundle at `path` in `precision`, and the bundle with that for its encoder.

    Nothing is written. Raises `BundleError` or `EncoderError`.
    """
    bundle = load_bundle(path, backend=ON_CPU, index="exact")
    spec = bundle.manifest.encoder
    try:
        graph = to_precision(read_verified(path, bundle.manifest)[spec.graph_file], precision)
    except EncoderError as error:
        raise EncoderError(f"bundle {path}: {spec.graph_file}: {error}") from error
    return graph, replace(bundle, encoder=load_encoder(spec, path, ON_CPU, graph=graph))


def golden_loss(bundle: Bundle) -> dict[str, float]:
    """How far the encoder of `bundle` is from its golden batch.

    Largest difference of user vectors and of states, the share of the ten nearest items that stay
    among them, and how much a user vector changes with who shares the batch.
    """
    golden, catalog = _golden(bundle), bundle.catalog
    histories = golden.histories(catalog)
    states, users = bundle.encoder.encode(histories)
    alone = np.concatenate([bundle.encoder.encode([history])[1] for history in histories])
    top, _ = ExactIndex(catalog.vectors).search(users, TOP)
    kept = [np.isin(new, old).mean() for new, old in zip(top, golden.top, strict=True)]
    return {
        "user_difference": float(np.abs(users - golden.users).max()),
        "state_difference": float(np.abs(states - golden.states).max(initial=0.0)),
        "top_10_kept": float(np.mean(kept)),
        "batch_difference": float(np.abs(users - alone).max()),
    }


def add_variant(
    path: Path, precision: Precision, graph: bytes, measured: Mapping[str, float]
) -> Variant:
    """Put a graph made by `convert` into the bundle at `path`; one that is there is replaced.

    The golden batch must come out as near as the precision allows. The manifest changes, so a
    signature is removed: sign the bundle again. Raises `BundleError` or `EncoderError`; the bundle
    is then as it was.
    """
    manifest = read_manifest(path)
    contents = read_verified(path, manifest)
    variant = Variant(
        file=variant_file(manifest.encoder.graph_file, precision), measured=dict(measured)
    )
    contents[variant.file] = graph
    manifest = msgspec.structs.replace(
        manifest,
        variants={**manifest.variants, precision: variant},
        files={**manifest.files, variant.file: hashlib.sha256(graph).hexdigest()},
    )
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.resolve().parent))
    try:
        write_files(draft, {**contents, MANIFEST_FILE: encode_manifest(manifest)})
        load_bundle(draft, backend=ON_CPU, index="exact", precision=precision)
        publish(draft, path.resolve())
    except (BundleError, EncoderError) as error:
        raise type(error)(str(error).replace(str(draft), str(path))) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return variant


def is_signed(path: Path) -> bool:
    """Whether the bundle at `path` carries a signature, right or wrong."""
    return (path / SIGNATURE_FILE).exists()


def _golden(bundle: Bundle) -> Golden:
    spec = bundle.manifest.encoder
    return decode_golden(
        read_verified(bundle.path, bundle.manifest)[GOLDEN_FILE],
        items=len(bundle.catalog),
        features=spec.features,
        state_size=spec.state_size,
        dim=spec.dim,
    )
