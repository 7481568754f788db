"""A sentence encoder on disk: `text.onnx`, `tokenizer.json` and `meta.json` with their checksums.

What is read is verified as a whole, then used from memory: a file could be changed in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from stream_app.errors import UserError

SCHEMA_VERSION = 1
META_FILE = "meta.json"
GRAPH_FILE = "text.onnx"
TOKENIZER_FILE = "tokenizer.json"
FILES = (GRAPH_FILE, TOKENIZER_FILE)
MAKE = "make it with `stream-app text-encoder export --out DIR`"

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Precision = Literal["float32", "int8"]
# Longer inputs cost quadratic time, and titles or descriptions say nothing more there.
Length = Annotated[int, msgspec.Meta(ge=8, le=8192)]
TextDim = Annotated[int, msgspec.Meta(ge=2, le=8192)]


class TextError(UserError):
    """A text encoder cannot be read, made or used; the message says why and what to do."""


class TextMeta(msgspec.Struct, frozen=True, kw_only=True):
    """`meta.json`: what the encoder is; fields are only added, with defaults."""

    schema_version: int = SCHEMA_VERSION
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    """Name of the model that was exported."""
    licence: str
    """Licence of its weights, as far as known."""
    dim: TextDim
    """`t`, the size of a text vector."""
    max_length: Length
    """Tokens after which a text is cut."""
    pad_id: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Token that fills a batch on the right; the mask leaves it out."""
    precision: Precision = "float32"
    """`int8`: weights quantised, activations while it runs."""
    files: dict[str, Sha256]
    """SHA-256 of `text.onnx` and `tokenizer.json`."""

    @property
    def digest(self) -> str:
        """SHA-256 over the checksums of both files and `max_length`: a bundle's name for it.

        All that a vector depends on: where texts are cut is not in the files.
        """
        lines = "".join(f"{self.files[name]}  {name}\n" for name in sorted(FILES))
        return hashlib.sha256(f"{lines}{self.max_length}  max_length\n".encode()).hexdigest()


@dataclass(frozen=True)
class TextEncoderFiles:
    """The verified bytes of an encoder."""

    path: Path
    meta: TextMeta
    graph: bytes
    tokenizer: bytes


def read_encoder(directory: Path | str) -> TextEncoderFiles:
    """Read and verify the encoder in `directory`; raises `TextError`."""
    path = Path(directory)
    if not path.is_dir():
        raise TextError(f"text encoder {path}: no such directory; {MAKE}")
    meta = _parse_meta(path, _read(path, META_FILE))
    contents = {name: _read(path, name) for name in FILES}
    for name, raw in contents.items():
        if hashlib.sha256(raw).hexdigest() != meta.files[name]:
            raise TextError(
                f"text encoder {path}: {name} sha256 differs from {META_FILE}; the file was "
                f"damaged or changed: {MAKE} again"
            )
    return TextEncoderFiles(path, meta, contents[GRAPH_FILE], contents[TOKENIZER_FILE])


def encode_meta(meta: TextMeta) -> bytes:
    """Bytes of `meta.json`, indented."""
    return msgspec.json.format(msgspec.json.encode(meta), indent=2) + b"\n"


def checksums(contents: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 by file name."""
    return {name: hashlib.sha256(raw).hexdigest() for name, raw in contents.items()}


def _read(path: Path, name: str) -> bytes:
    file = path / name
    try:
        if file.exists() and not file.is_file():  # a pipe would keep the reader waiting for ever
            raise TextError(f"text encoder {path}: {name} is not a plain file; {MAKE}")
        return file.read_bytes()
    except FileNotFoundError:
        raise TextError(f"text encoder {path}: {name} is missing; {MAKE}") from None
    except OSError as error:
        raise TextError(f"text encoder {path}: {name} cannot be read: {error.strerror}") from error


def _parse_meta(path: Path, raw: bytes) -> TextMeta:
    try:
        meta = msgspec.json.decode(raw, type=TextMeta)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TextError(f"text encoder {path}: {META_FILE} is not valid: {error}") from error
    if meta.schema_version > SCHEMA_VERSION:
        raise TextError(
            f"text encoder {path}: schema version {meta.schema_version} is newer than "
            f"{SCHEMA_VERSION}, the newest this release of stream-app reads; upgrade stream-app"
        )
    if set(meta.files) != set(FILES):
        raise TextError(
            f"text encoder {path}: {META_FILE} lists {', '.join(sorted(meta.files)) or 'no file'}; "
            f"expected {', '.join(FILES)}: {MAKE} again"
        )
    return meta
