"""The manifest of a bundle: what the release is, and the checksum of each of its files."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from stream_app.bundle.files import (
    NO_SIGNATURES,
    REBUILD,
    SIGNATURE_FILE,
    BundleError,
    SigningError,
    read_file,
    refuse_others,
)
from stream_app.bundle.ranker import RankerSpec, check_ranker_listed
from stream_app.bundle.text import TextSpec, check_listed
from stream_app.encoders import EncoderSpec

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
ITEMS_FILE = "items.msgpack"
VECTORS_FILE = "vectors.npy"
PRIORS_FILE = "priors.npz"
GOLDEN_FILE = "golden.npz"
REQUIRED_FILES = (ITEMS_FILE, VECTORS_FILE, PRIORS_FILE, GOLDEN_FILE)

# Part of topic rows, file names and metric labels: nothing that needs quoting anywhere, no `@`.
Label = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
# A plain name in the bundle's own directory: a manifest must not reach out of it.
FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Weight = Annotated[float, msgspec.Meta(ge=0, le=1000)]
Precision = Literal["fp16", "int8"]


class DataWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The events that a release was trained on."""

    source: str
    events: Annotated[int, msgspec.Meta(ge=0)]
    from_ms: int
    """Event time of the first event, Unix ms."""
    until_ms: int
    """Event time of the last event, Unix ms."""


class RankingWeights(msgspec.Struct, frozen=True, kw_only=True):
    """How the candidate scores are added up; fitted in training, and safe to edit by hand."""

    temperature: Annotated[float, msgspec.Meta(gt=0, le=100)] = 0.07
    """Divides the cosine of user and item: the temperature of the training loss."""
    personal: Weight = 1.0
    """Weight of the cosine over `temperature`."""
    transition: Weight = 1.0
    """Weight of the log probability of the item after the last ones."""
    trending: Weight = 0.1
    """Weight of the log of the decayed popularity."""
    lags: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1
    """An item counts as following so many items before it, each further one 0.7 times as much."""
    both_ways: bool = False
    """Whether the earlier item also counts as following the later one."""
    votes: Annotated[int, msgspec.Meta(ge=1, le=10)] = 10
    """So many of the user's last items say what follows, each further one 0.8 times as much."""
    trend_half_life_days: Annotated[float, msgspec.Meta(gt=0, le=100_000)] = 30.0
    """After so many days an event counts half as much for the decayed popularity."""

    @property
    def trend_half_life_ms(self) -> float:
        """The same in milliseconds."""
        return self.trend_half_life_days * 86_400_000.0


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """The encoder's graph in fewer bits, made by `stream-app compile`."""

    file: FileName
    measured: dict[str, float] = {}
    """What it loses: differences over the golden batch, NDCG@10 where it was measured."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`manifest.json`; fields are only added, with defaults, while the schema version stays."""

    schema_version: int = SCHEMA_VERSION
    name: Label
    version: Label
    created: str
    """When the release was made, ISO 8601 with offset."""
    encoder: EncoderSpec
    data: DataWindow
    metrics: dict[str, float | dict[str, float]] = {}
    """Offline metrics by name, or by group and name."""
    ranking: RankingWeights = RankingWeights()
    ranker: RankerSpec | None = None
    """What the learned ranker takes; null where `ranking` alone puts candidates in order."""
    text: TextSpec | None = None
    """What reads the text of items; null where items are known by their id alone."""
    variants: dict[Precision, Variant] = {}
    """The graph in other precisions; the graph itself is `fp32`."""
    files: dict[FileName, Sha256]
    """SHA-256 by file name, for every file of the bundle but this one."""

    def __post_init__(self) -> None:
        if self.created_at.tzinfo is None:
            raise ValueError(f"created is {self.created!r}; an offset from UTC is missing")
        check_listed(self.text, self.files)
        check_ranker_listed(self.ranker, self.files)

    @property
    def created_at(self) -> datetime:
        """`created` as a time; `ValueError` unless it is ISO 8601."""
        return datetime.fromisoformat(self.created)

    @property
    def release(self) -> str:
        """`name@version`: what user rows and recommendations call this release."""
        return f"{self.name}@{self.version}"


class _Version(msgspec.Struct):
    schema_version: int


def read_manifest(path: Path, public_key: Path | None = None) -> Manifest:
    """Read `manifest.json` of the bundle at `path`; raises `BundleError`.

    With `public_key`, only when it is signed with that key: before, nothing of it is interpreted.
    """
    return parse_manifest(path, read_signed(path, public_key))


def read_signed(path: Path, public_key: Path | None) -> bytes:
    """The bytes of the manifest, signed with `public_key` if one is given."""
    if not path.is_dir():
        raise BundleError(f"bundle {path}: no such directory; make one with `stream-app train`")
    raw = read_file(path, MANIFEST_FILE)
    if public_key is not None:
        _check_signature(path, raw, public_key)
    return raw


def _check_signature(path: Path, raw: bytes, public_key: Path) -> None:
    try:  # a worker that takes any bundle needs no cryptography
        from stream_app.bundle.signature import check_signature
    except ModuleNotFoundError:
        raise SigningError(NO_SIGNATURES) from None
    check_signature(path, raw, public_key)


def parse_manifest(path: Path, raw: bytes) -> Manifest:
    """The manifest in `raw`, of the bundle at `path`; raises `BundleError`."""
    try:
        version = msgspec.json.decode(raw, type=_Version).schema_version
        if version > SCHEMA_VERSION:
            raise BundleError(
                f"bundle {path}: schema version {version} is newer than {SCHEMA_VERSION}, the "
                "newest this release of stream-app reads; upgrade stream-app"
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"bundle {path}: {MANIFEST_FILE} is not valid: {error}") from error
    variants = [variant.file for variant in manifest.variants.values()]
    required = (manifest.encoder.graph_file, *REQUIRED_FILES, *variants)
    missing = [name for name in required if name not in manifest.files]
    if missing:
        raise BundleError(f"bundle {path}: {MANIFEST_FILE} lists no {missing[0]}; {REBUILD}")
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """Bytes of `manifest.json`, indented: people read and edit it."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def read_verified(path: Path, manifest: Manifest) -> dict[str, bytes]:
    """Read every file that the manifest lists and compare its checksum; raises `BundleError`.

    What is used afterwards are these bytes, not the files again. Other files are refused.
    """
    refuse_others(path, {*manifest.files, MANIFEST_FILE, SIGNATURE_FILE})
    contents = {}
    for name, expected in manifest.files.items():
        contents[name] = read_file(path, name)
        if hashlib.sha256(contents[name]).hexdigest() != expected:
            raise BundleError(f"bundle {path}: {name} sha256 differs from the manifest; {REBUILD}")
    return contents
