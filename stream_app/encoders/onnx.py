"""The encoder on ONNX Runtime: a step graph on one CPU thread.

Contract of `step.onnx`, all float32, `B` dynamic: inputs `state` `[B, S]`, `item` `[B, d]` and
`features` `[B, f]`; outputs `new_state` `[B, S]` and `user` `[B, d]` (unit length).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from stream_app.encoders.base import Floats, History
from stream_app.encoders.replay import replay
from stream_app.encoders.spec import EncoderError

INPUTS = ("state", "item", "features")
OUTPUTS = ("new_state", "user")
LOG_ERRORS = 3  # ONNX Runtime's severity scale: 0 verbose .. 4 fatal


class OnnxEncoder:
    """A `SequenceEncoder` that steps with ONNX Runtime's CPU provider."""

    backend = "onnxruntime-cpu"

    def __init__(self, path: Path | str, *, threads: int = 1, graph: bytes | None = None) -> None:
        """Load the step graph at `path`, or its bytes in `graph`.

        Raises `EncoderError` if it cannot be read or breaks the contract above.
        """
        self._session = _open_session(Path(path), threads, graph)
        widths = _input_widths(self._session, Path(path))
        self.state_size, self.dim, self.features = (widths[name] for name in INPUTS)
        self._probe(Path(path))

    def step(self, states: Floats, item_vectors: Floats, features: Floats) -> tuple[Floats, Floats]:
        """Advance each user by one event; see `SequenceEncoder.step`."""
        if not len(states):
            return np.empty((0, self.state_size), np.float32), np.empty((0, self.dim), np.float32)
        new_states, users = self._session.run(
            OUTPUTS, {"state": states, "item": item_vectors, "features": features}
        )
        return new_states, users

    def encode(self, histories: Sequence[History]) -> tuple[Floats, Floats]:
        """States `[B, S]` and user vectors `[B, d]` of whole histories; zeros for an empty one."""
        return replay(self.step, histories, dim=self.dim, state_size=self.state_size)

    def _probe(self, path: Path) -> None:
        """Run two users once: output shapes are only sure when the graph has run."""
        try:
            outputs = self.step(
                np.zeros((2, self.state_size), np.float32),
                np.zeros((2, self.dim), np.float32),
                np.zeros((2, self.features), np.float32),
            )
        except Exception as error:
            raise EncoderError(f"{path}: the graph fails on two users: {error}") from error
        for name, array, width in zip(OUTPUTS, outputs, (self.state_size, self.dim), strict=True):
            if array.shape != (2, width) or array.dtype != np.float32:
                raise EncoderError(
                    f"{path}: output {name!r} for two users is {array.dtype}"
                    f"{list(array.shape)}, expected float32[2, {width}]"
                )


def _open_session(path: Path, threads: int, graph: bytes | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_mem_pattern = False  # for fixed shapes only: batches vary in size
    # An idle thread that spins takes the core from the event loop and from other workers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = LOG_ERRORS
    try:
        # From bytes: a graph that refers to weights in another file, which no checksum covers,
        # cannot load.
        raw = path.read_bytes() if graph is None else graph
        return onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise EncoderError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise EncoderError(
            f"{path}: not a graph that ONNX Runtime {onnxruntime.__version__} can load "
            f"(weights must be inside the file): {error}"
        ) from error


def _input_widths(session: Any, path: Path) -> dict[str, int]:
    """Check names, types and shapes of the graph's ends; return the width of every input."""
    inputs = {end.name: end for end in session.get_inputs()}
    outputs = {end.name: end for end in session.get_outputs()}
    for what, ends, names in (("inputs", inputs, INPUTS), ("outputs", outputs, OUTPUTS)):
        if set(ends) != set(names):
            raise EncoderError(
                f"{path}: {what} are {', '.join(sorted(ends))}; expected {', '.join(names)}"
            )
    for end in (*inputs.values(), *outputs.values()):
        if end.type != "tensor(float)":
            raise EncoderError(f"{path}: {end.name!r} is {end.type}, expected tensor(float)")
    for end in inputs.values():
        if (
            len(end.shape) != 2
            or isinstance(end.shape[0], int)
            or not isinstance(end.shape[1], int)
        ):
            raise EncoderError(
                f"{path}: input {end.name!r} has shape {end.shape}, expected [B, width] with a "
                "dynamic B and a fixed width"
            )
    return {name: int(inputs[name].shape[1]) for name in INPUTS}
