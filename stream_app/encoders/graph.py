"""An encoder over anything that runs a bundle's graph: what backends beside ONNX Runtime share.

The contracts of the graphs are those of `stream_app.encoders.onnx`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.encoders.base import Floats, History, Ints
from stream_app.encoders.replay import replay
from stream_app.encoders.spec import EncoderError, EncoderSpec
from stream_app.encoders.windows import encode_windows

Arrays = Mapping[str, NDArray[Any]]
Run = Callable[[Arrays], Arrays]

# A GPU is filled by a few hundred histories.
WINDOWS_AT_ONCE = 256


class GraphEncoder:
    """Steps or encodes with `run`, a function from the named inputs of a graph to its outputs."""

    def __init__(self, run: Run, spec: EncoderSpec, backend: str) -> None:
        self._run, self._window = run, spec.window
        self.backend = backend
        self.dim, self.state_size, self.features = spec.dim, spec.state_size, spec.features

    def step(self, states: Floats, item_vectors: Floats, features: Floats) -> tuple[Floats, Floats]:
        """Advance each user by one event; see `SteppedEncoder.step`."""
        if self._window:
            raise EncoderError("an encoder without a state has no step")
        if not len(states):
            return np.empty((0, self.state_size), np.float32), np.empty((0, self.dim), np.float32)
        outputs = self._run({"state": states, "item": item_vectors, "features": features})
        return outputs["new_state"], outputs["user"]

    def encode(self, histories: Sequence[History]) -> tuple[Floats, Floats]:
        """States `[B, S]` and user vectors `[B, d]` of whole histories; zeros for an empty one."""
        if not self._window:
            return replay(self.step, histories, dim=self.dim, state_size=self.state_size)
        users = encode_windows(
            self._encode, histories, dim=self.dim, window=self._window, at_once=WINDOWS_AT_ONCE
        )
        return np.empty((len(histories), 0), np.float32), users

    def _encode(self, items: Floats, features: Floats, lengths: Ints) -> Floats:
        return self._run({"item": items, "features": features, "lengths": lengths})["user"]
