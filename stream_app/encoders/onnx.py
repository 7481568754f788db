"""The encoder on ONNX Runtime: one graph on one CPU thread.

Contract of `step.onnx`, all float32, `B` dynamic: inputs `state` `[B, S]`, `item` `[B, d]` and
`features` `[B, f]`; outputs `new_state` `[B, S]` and `user` `[B, d]` (unit length).

Contract of `encode.onnx`, float32 but for `lengths`, `B` and `L` dynamic: inputs `item`
`[B, L, d]` and `features` `[B, L, f]`, padded on the right, and `lengths` int64 `[B]`, each in
1..L; output `user` `[B, d]` (unit length), after the last event that counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

from stream_app.encoders.base import Floats, History, Ints
from stream_app.encoders.replay import replay
from stream_app.encoders.spec import EncoderError, EncoderSpec
from stream_app.encoders.windows import USERS_AT_ONCE, encode_windows

BACKEND = "onnxruntime-cpu"
LOG_ERRORS = 3  # ONNX Runtime's severity scale: 0 verbose .. 4 fatal


DYNAMIC = ("B", "L")


class End(NamedTuple):
    """What the contract says about an input."""

    shape: tuple[str, ...]
    """Names of its axes: those in `DYNAMIC` of any size, the others of a fixed one."""
    type: str = "tensor(float)"


STEP_INPUTS = {"state": End(("B", "S")), "item": End(("B", "d")), "features": End(("B", "f"))}
STEP_OUTPUTS = ("new_state", "user")
ENCODE_INPUTS = {
    "item": End(("B", "L", "d")),
    "features": End(("B", "L", "f")),
    "lengths": End(("B",), "tensor(int64)"),
}
ENCODE_OUTPUTS = ("user",)


def open_onnx(
    spec: EncoderSpec, path: Path | str, *, threads: int = 1, graph: bytes | None = None
) -> OnnxEncoder | OnnxWindowEncoder:
    """The graph at `path`, or its bytes in `graph`, as an encoder of the kind that `spec` says.

    Raises `EncoderError` if it cannot be read or breaks the contract above.
    """
    if spec.window:
        return OnnxWindowEncoder(path, window=spec.window, threads=threads, graph=graph)
    return OnnxEncoder(path, threads=threads, graph=graph)


class OnnxEncoder:
    """A `SteppedEncoder` that steps with ONNX Runtime's CPU provider."""

    backend = BACKEND

    def __init__(self, path: Path | str, *, threads: int = 1, graph: bytes | None = None) -> None:
        """Load the step graph at `path`, or its bytes in `graph`.

        Raises `EncoderError` if it cannot be read or breaks the contract above.
        """
        self._session = open_session(Path(path), threads, graph)
        widths = _widths(self._session, Path(path), STEP_INPUTS, STEP_OUTPUTS)
        self.state_size, self.dim, self.features = widths["S"], widths["d"], widths["f"]
        inputs = {
            "state": np.zeros((2, self.state_size), np.float32),
            "item": np.zeros((2, self.dim), np.float32),
            "features": np.zeros((2, self.features), np.float32),
        }
        outputs = {"new_state": (2, self.state_size), "user": (2, self.dim)}
        _probe(self._session, Path(path), inputs, outputs)

    def step(self, states: Floats, item_vectors: Floats, features: Floats) -> tuple[Floats, Floats]:
        """Advance each user by one event; see `SteppedEncoder.step`."""
        if not len(states):
            return np.empty((0, self.state_size), np.float32), np.empty((0, self.dim), np.float32)
        new_states, users = self._session.run(
            STEP_OUTPUTS, {"state": states, "item": item_vectors, "features": features}
        )
        return new_states, users

    def encode(self, histories: Sequence[History]) -> tuple[Floats, Floats]:
        """States `[B, S]` and user vectors `[B, d]` of whole histories; zeros for an empty one."""
        return replay(self.step, histories, dim=self.dim, state_size=self.state_size)


class OnnxWindowEncoder:
    """A `SequenceEncoder` without a state, on ONNX Runtime's CPU provider."""

    backend = BACKEND
    state_size = 0

    def __init__(
        self, path: Path | str, *, window: int, threads: int = 1, graph: bytes | None = None
    ) -> None:
        """Load the encode graph at `path`, or its bytes in `graph`; errors as of `OnnxEncoder`."""
        self.window = window
        self._session = open_session(Path(path), threads, graph)
        widths = _widths(self._session, Path(path), ENCODE_INPUTS, ENCODE_OUTPUTS)
        self.dim, self.features = widths["d"], widths["f"]
        inputs = {
            "item": np.zeros((2, 3, self.dim), np.float32),
            "features": np.zeros((2, 3, self.features), np.float32),
            "lengths": np.array([3, 1]),
        }
        _probe(self._session, Path(path), inputs, {"user": (2, self.dim)})

    def encode(self, histories: Sequence[History]) -> tuple[Floats, Floats]:
        """States `[B, 0]` and user vectors `[B, d]` of the last `window` events of each history."""
        users = encode_windows(
            self._run, histories, dim=self.dim, window=self.window, at_once=USERS_AT_ONCE
        )
        return np.empty((len(histories), 0), np.float32), users

    def _run(self, items: Floats, features: Floats, lengths: Ints) -> Floats:
        inputs = {"item": items, "features": features, "lengths": lengths}
        users: Floats = self._session.run(ENCODE_OUTPUTS, inputs)[0]
        return users


def _probe(
    session: Any, path: Path, inputs: dict[str, Any], expected: dict[str, tuple[int, int]]
) -> None:
    """Run two users once: output shapes are only sure when the graph has run."""
    try:
        outputs = session.run(list(expected), inputs)
    except Exception as error:
        raise EncoderError(f"{path}: the graph fails on two users: {error}") from error
    for (name, shape), array in zip(expected.items(), outputs, strict=True):
        if array.shape != shape or array.dtype != np.float32:
            raise EncoderError(
                f"{path}: output {name!r} for two users is {array.dtype}"
                f"{list(array.shape)}, expected float32{list(shape)}"
            )


def open_session(path: Path, threads: int, graph: bytes | None) -> Any:
    """The graph at `path`, or its bytes in `graph`, on the CPU; raises `EncoderError`."""
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


def _widths(
    session: Any, path: Path, contract: dict[str, End], output_names: tuple[str, ...]
) -> dict[str, int]:
    """Check names, types and shapes of the graph's ends; return the size of every fixed axis."""
    inputs = {end.name: end for end in session.get_inputs()}
    outputs = {end.name: end for end in session.get_outputs()}
    for what, ends, names in (
        ("inputs", inputs, tuple(contract)),
        ("outputs", outputs, output_names),
    ):
        if set(ends) != set(names):
            raise EncoderError(
                f"{path}: {what} are {', '.join(sorted(ends))}; expected {', '.join(names)}"
            )
    types = {name: end.type for name, end in contract.items()}
    for end in (*inputs.values(), *outputs.values()):
        if end.type != (expected := types.get(end.name, "tensor(float)")):
            raise EncoderError(f"{path}: {end.name!r} is {end.type}, expected {expected}")
    widths: dict[str, int] = {}
    for name, (axes, _) in contract.items():
        shape = inputs[name].shape
        fixed = [axis for axis in axes if axis not in DYNAMIC]
        if len(shape) != len(axes) or any(
            isinstance(size, int) == (axis in DYNAMIC)
            for size, axis in zip(shape, axes, strict=True)
        ):
            raise EncoderError(
                f"{path}: input {name!r} has shape {shape}, expected [{', '.join(axes)}] with "
                f"{' and '.join(axis for axis in axes if axis in DYNAMIC)} dynamic and "
                f"{' and '.join(fixed) or 'nothing'} fixed"
            )
        widths |= {axis: int(shape[axes.index(axis)]) for axis in fixed}
    return widths
