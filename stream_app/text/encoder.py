"""The sentence encoder: tokens from `tokenizers`, vectors from ONNX Runtime on the CPU.

Contract of `text.onnx`: inputs `input_ids` and `attention_mask`, int64 `[B, L]`, both dynamic;
output `vector` float32 `[B, t]`, unit length (pooling and normalisation are inside).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from stream_app.text.clean import clean
from stream_app.text.files import TextEncoderFiles, TextError, TextMeta, read_encoder

Floats = NDArray[np.float32]

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "vector"
BATCH = 32  # texts; more of them gain nothing on a CPU and keep others waiting
# Characters per token that are still read: words are shorter, and a megabyte is not tokenised to
# keep 256 tokens of it.
CHARACTERS_PER_TOKEN = 16
LOG_ERRORS = 3  # ONNX Runtime's severity scale: 0 verbose .. 4 fatal


class TextEncoder:
    """Texts in, unit-length vectors out; safe to call from several threads at once."""

    def __init__(self, files: TextEncoderFiles, *, threads: int = 1) -> None:
        """Make an encoder of verified files, which it tries out.

        Raises `TextError` when the package `tokenizers` is missing, or the files do not do what
        their `meta.json` says.
        """
        self.meta: TextMeta = files.meta
        self._where = f"text encoder {files.path}"
        self._tokenizer = _open_tokenizer(files)
        self._session = _open_session(files, threads)
        self._check_ends()
        self._probe()

    @classmethod
    def load(cls, directory: Path | str, *, threads: int = 1) -> TextEncoder:
        """Verify and load the encoder in `directory`; raises `TextError`."""
        return cls(read_encoder(directory), threads=threads)

    @property
    def dim(self) -> int:
        """`t`, the size of a text vector."""
        return self.meta.dim

    @property
    def digest(self) -> str:
        """What bundles call this encoder by; see `TextMeta.digest`."""
        return self.meta.digest

    def tokens(self, text: str) -> list[int]:
        """Token ids of `text`, at most `max_length`; none for a text without any content."""
        limit = CHARACTERS_PER_TOKEN * self.meta.max_length
        if not (cleaned := clean(text, limit)):
            return []
        ids: list[int] = self._tokenizer.encode(cleaned).ids
        return ids

    def encode(self, texts: Sequence[str]) -> Floats:
        """Vectors `[B, t]` float32 of `texts`, unit length; a row of zeros for an empty text.

        A vector does not depend on the other texts of the call.
        """
        vectors = np.zeros((len(texts), self.dim), np.float32)
        tokens = [self.tokens(text) for text in texts]
        for batch in self._batches(tokens):
            vectors[batch] = self._run([tokens[at] for at in batch])
        return vectors

    def _batches(self, tokens: Sequence[list[int]]) -> Iterator[list[int]]:
        """Places of the texts that go together: of about equal length, so that little is padded."""
        order = sorted((at for at, ids in enumerate(tokens) if ids), key=lambda at: len(tokens[at]))
        # Quantised activations share one scale per run: alone, or neighbours change the vector.
        size = 1 if self.meta.precision == "int8" else BATCH
        for start in range(0, len(order), size):
            yield order[start : start + size]

    def _run(self, tokens: Sequence[list[int]]) -> Floats:
        shape = len(tokens), max(map(len, tokens))
        ids, mask = np.full(shape, self.meta.pad_id, np.int64), np.zeros(shape, np.int64)
        for row, one in enumerate(tokens):
            ids[row, : len(one)], mask[row, : len(one)] = one, 1
        vectors: Floats = self._session.run([OUTPUT], dict(zip(INPUTS, (ids, mask), strict=True)))[
            0
        ]
        return vectors

    def _check_ends(self) -> None:
        ends = {end.name: end for end in self._session.get_inputs()}
        outputs = [end.name for end in self._session.get_outputs()]
        if set(ends) != set(INPUTS) or outputs != [OUTPUT]:
            raise TextError(
                f"{self._where}: the graph takes {', '.join(sorted(ends))} and gives "
                f"{', '.join(outputs)}; expected {', '.join(INPUTS)} and {OUTPUT}"
            )
        for end in ends.values():
            fixed = any(isinstance(size, int) for size in end.shape)
            if end.type != "tensor(int64)" or len(end.shape) != 2 or fixed:
                raise TextError(
                    f"{self._where}: input {end.name!r} is {end.type}{end.shape}, expected "
                    "tensor(int64)[B, L] with both dynamic"
                )

    def _probe(self) -> None:
        """Run two texts of unequal length: shapes are only sure when the graph has run."""
        try:
            found = self._run([[0] * 3, [0] * 5])
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise TextError(f"{self._where}: the graph fails on two texts: {error}") from error
        if found.shape != (2, self.dim) or found.dtype != np.float32:
            raise TextError(
                f"{self._where}: two texts give {found.dtype}{list(found.shape)}, expected "
                f"float32[2, {self.dim}]"
            )


def _open_tokenizer(files: TextEncoderFiles) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise TextError(
            "text needs the package tokenizers: pip install 'stream-app[text]'"
        ) from None
    try:
        tokenizer = Tokenizer.from_str(files.tokenizer.decode())
        tokenizer.no_padding()
        tokenizer.enable_truncation(files.meta.max_length)
    except Exception as error:  # the binding raises plain Exception
        raise TextError(
            f"text encoder {files.path}: tokenizer.json is not one that the installed package "
            f"tokenizers can read: {error}"
        ) from error
    return tokenizer


def _open_session(files: TextEncoderFiles, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # An idle thread that spins takes the core from the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = LOG_ERRORS
    try:
        # From bytes: weights in another file, which no checksum covers, cannot load.
        return onnxruntime.InferenceSession(
            files.graph, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise TextError(
            f"text encoder {files.path}: text.onnx is not a graph that ONNX Runtime "
            f"{onnxruntime.__version__} can load: {error}"
        ) from error
