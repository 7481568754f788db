"""A small sentence encoder for tests: a token per character, its vector the mean over tokens.

Real in all but its weights, which are random: the graph runs on ONNX Runtime, the tokenizer is one
of `tokenizers`. A character that no other test text holds is still told apart (bytes fall back).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream_app.text import TextEncoder, TextEncoderFiles, TextMeta
from stream_app.text.files import GRAPH_FILE, META_FILE, TOKENIZER_FILE, checksums, encode_meta

onnx = pytest.importorskip("onnx", reason="needs the package onnx (extra `train`) to make a graph")
tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is missing: extra `text`")

DIM = 12
MAX_LENGTH = 16


def byte_tokenizer() -> bytes:
    """`tokenizer.json`: every UTF-8 byte is a token, so nothing of a text can get lost."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0} | {character: at for at, character in enumerate(alphabet, start=1)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer.to_str().encode()


def mean_graph(
    *,
    dim: int = DIM,
    seed: int = 0,
    output: str = "vector",
    inputs: tuple[str, str] = ("input_ids", "attention_mask"),
    sizes: tuple[int | str, int | str] = ("B", "L"),
    element: int | None = None,
    rows: int = 257,
) -> bytes:
    """`text.onnx`: embedding, masked mean, unit length; the arguments break the contract."""
    helper, kind = onnx.helper, onnx.TensorProto
    table = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    weights = [
        onnx.numpy_helper.from_array(table, "table"),
        onnx.numpy_helper.from_array(np.array([1], np.int64), "one"),
        onnx.numpy_helper.from_array(np.array([2], np.int64), "two"),
    ]
    ids, mask = inputs
    node = helper.make_node
    nodes = [
        node("Cast", [ids], ["whole"], to=kind.INT64),
        node("Gather", ["table", "whole"], ["embedded"]),
        node("Cast", [mask], ["weights"], to=kind.FLOAT),
        node("Unsqueeze", ["weights", "two"], ["column"]),
        node("Mul", ["embedded", "column"], ["masked"]),
        node("ReduceSum", ["masked", "one"], ["summed"], keepdims=0),
        node("LpNormalization", ["summed"], [output], axis=-1, p=2),
    ]
    element = element or kind.INT64
    ends = [helper.make_tensor_value_info(name, element, sizes) for name in inputs]
    out = helper.make_tensor_value_info(output, kind.FLOAT, ["B", dim])
    graph = helper.make_graph(nodes, "text", ends, [out], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


def write_text_encoder(path: Path, graph: bytes | None = None, **meta) -> Path:
    """Write an encoder to `path`; `graph` and `meta` break it."""
    path.mkdir(parents=True)
    contents = {GRAPH_FILE: graph or mean_graph(), TOKENIZER_FILE: byte_tokenizer()}
    fields = {
        "name": "small", "licence": "none", "dim": DIM, "max_length": MAX_LENGTH,
        "files": checksums(contents),
    }  # fmt: skip
    contents[META_FILE] = encode_meta(TextMeta(**fields | meta))
    for name, raw in contents.items():
        (path / name).write_bytes(raw)
    return path


def small_text_encoder(**meta) -> TextEncoder:
    """The encoder in memory."""
    contents = {GRAPH_FILE: mean_graph(), TOKENIZER_FILE: byte_tokenizer()}
    fields = {
        "name": "small", "licence": "none", "dim": DIM, "max_length": MAX_LENGTH,
        "files": checksums(contents),
    }  # fmt: skip
    return TextEncoder(
        TextEncoderFiles(Path("small"), TextMeta(**fields | meta), *contents.values())
    )
