"""A sentence encoder of `transformers` as the files that `stream_app.text` runs without it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stream_app.text.encoder import TextEncoder
from stream_app.text.files import (
    FILES,
    GRAPH_FILE,
    META_FILE,
    TOKENIZER_FILE,
    TextEncoderFiles,
    TextError,
    TextMeta,
    checksums,
    encode_meta,
)
from stream_app.training.export import export_module
from stream_app.training.text_model import DEFAULT_MODEL, SourceModel, find_model, first_line

# Long and short, several scripts: what an exported graph is compared with its model on.
SAMPLES = (
    "Toy Story (1995). Adventure, Animation, Children, Comedy, Fantasy",
    "running shoes",
    "Kabelloser Kopfhörer mit Geräuschunterdrückung, schwarz",
    "无线降噪耳机 黑色",
    "سماعات لاسلكية",
    "🎧🇫🇷 écouteurs " + "sans fil " * 40,
)
TOLERANCE = 1e-4
LEAST_COSINE = 0.9  # of a quantised vector to the full one; all-MiniLM-L6-v2 has 0.97 and more


class Exported(NamedTuple):
    """What was written, and the smallest cosine to the vectors of the source on `SAMPLES`."""

    meta: TextMeta
    cosine: float


class Sentence(nn.Module):
    """The graph of the contract: token ids and mask to the unit-length mean over tokens."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        outputs = self.model(input_ids=input_ids, attention_mask=attention_mask)
        mask = attention_mask[..., None].to(outputs.last_hidden_state.dtype)
        summed = (outputs.last_hidden_state * mask).sum(1)
        return functional.normalize(summed / mask.sum(1).clamp_min(1), dim=-1)


def export_text_encoder(
    out: Path,
    *,
    model: str = DEFAULT_MODEL,
    int8: bool = False,
    replace: bool = False,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Export `model` to the directory `out`, which then holds an encoder that was tried out.

    `model` is as of `find_model`; with `int8` the weights are quantised. Raises `TextError` where
    the model cannot be had, has another architecture, or computes something else once exported;
    nothing is left at `out` then.
    """
    if out.exists() and not (replace and (out / META_FILE).is_file()):
        raise TextError(f"{out} exists; choose another --out, or pass --replace for an encoder")
    if out.exists() and (
        other := sorted({one.name for one in out.iterdir()} - {*FILES, META_FILE})
    ):
        raise TextError(f"{out} also holds {', '.join(other[:3])}, which replacing would delete")
    source = find_model(model)
    on_stage(f"Exporting {source.name} from {source.directory}")
    sentence, tokenizer, pad_id = _load(source)
    graph = _export(sentence)
    if int8:
        on_stage("Quantising")
        graph = _quantise(graph)
    contents = {GRAPH_FILE: graph, TOKENIZER_FILE: tokenizer}
    meta = TextMeta(
        name=source.name,
        licence=source.licence,
        dim=int(sentence.model.config.hidden_size),
        max_length=source.max_length,
        pad_id=pad_id,
        precision="int8" if int8 else "float32",
        files=checksums(contents),
    )
    on_stage("Comparing with the model")
    cosine = _compare(TextEncoderFiles(out, meta, *(contents[name] for name in FILES)), sentence)
    _write(out, {**contents, META_FILE: encode_meta(meta)})
    return Exported(meta, cosine)


def _load(source: SourceModel) -> tuple[Sentence, bytes, int]:
    """The model, its `tokenizer.json`, and the token that pads."""
    from transformers import AutoModel, AutoTokenizer

    where = source.directory
    try:
        with _quiet():
            # Weights as plain tensors and no code of the model's own: nothing of it is executed.
            # Eager attention is the one that exports with any batch and length.
            model, loaded = AutoModel.from_pretrained(
                where,
                use_safetensors=True,
                trust_remote_code=False,
                attn_implementation="eager",
                output_loading_info=True,
            )
            if (where / TOKENIZER_FILE).is_file():
                tokenizer = (where / TOKENIZER_FILE).read_bytes()
            else:
                made = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
                tokenizer = made.backend_tokenizer.to_str().encode()
    except Exception as error:  # transformers raises many kinds for a directory that is no model
        raise TextError(
            f"model {where}: transformers cannot load it: {first_line(error)}; it must "
            "hold config.json, safetensors weights and a tokenizer"
        ) from error
    # What the file does not hold would be random; only the pooler, which is not used, may be.
    missing = [name for name in sorted(loaded["missing_keys"]) if not name.startswith("pooler.")]
    if missing:
        raise TextError(
            f"model {where}: its weights lack {missing[0]} (and {len(missing) - 1} more); they are "
            "not those of its config.json"
        )
    return Sentence(model.eval()), tokenizer, int(getattr(model.config, "pad_token_id", 0) or 0)


def _export(sentence: Sentence) -> bytes:
    ids = torch.arange(14).reshape(2, 7)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    sizes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("length", min=2)}
    try:
        return export_module(sentence, inputs, ["vector"], dict.fromkeys(inputs, sizes))
    except Exception as error:  # the exporter's errors share no base class
        kind = type(sentence.model).__name__
        raise TextError(f"{kind} cannot be exported to ONNX: {error}") from error


def _quantise(graph: bytes) -> bytes:
    """All weights in int8; `stream_app.encoders.precision` leaves embeddings, half of them."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as scratch, _quiet():
        full, small = Path(scratch) / "full.onnx", Path(scratch) / "int8.onnx"
        full.write_bytes(graph)
        quantize_dynamic(full, small, weight_type=QuantType.QInt8, per_channel=True)
        return small.read_bytes()


def _compare(files: TextEncoderFiles, sentence: Sentence) -> float:
    """The smallest cosine on `SAMPLES`; raises `TextError` where the graph differs too much."""
    encoder = TextEncoder(files)
    expected = []
    for text in SAMPLES:
        ids = torch.tensor([encoder.tokens(text)])
        with torch.no_grad():
            expected.append(sentence(ids, torch.ones_like(ids))[0].numpy())
    found = encoder.encode(SAMPLES)
    cosine = float((found * np.stack(expected)).sum(axis=1).min())
    worst = float(np.abs(found - np.stack(expected)).max())
    good = cosine >= LEAST_COSINE if files.meta.precision == "int8" else worst <= TOLERANCE
    if not good:
        raise TextError(
            f"model {files.meta.name}: the exported graph differs from it by up to {worst:.2g} "
            f"(cosine {cosine:.4f}); use it in float32, or choose another model"
        )
    return cosine


def _write(out: Path, contents: dict[str, bytes]) -> None:
    """Write all files under a name of their own, then give the directory its name."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for name, raw in contents.items():
            with (draft / name).open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
        draft.chmod(0o755)  # temporary directories are private
        if out.exists():
            shutil.rmtree(out)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def _quiet() -> Any:
    """Silence the exporter, the quantiser and transformers: they warn about their own internals."""
    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger(name) for name in ("torch.onnx", "root")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
