"""A release in memory whose encoder reads a window and keeps no state, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
from small_release import DIM, small_release, unit_rows

from stream_app.bundle import Bundle
from stream_app.encoders import EncoderSpec, History
from stream_app.encoders.base import Floats, Ints
from stream_app.encoders.windows import encode_windows
from stream_app.users import FEATURES

WINDOW = 7


class WindowEncoder:
    """`user = normalise(sum of w_place (item + features V))`, each place with another weight."""

    backend = "numpy"
    dim = DIM
    state_size = 0

    def __init__(self) -> None:
        random = np.random.default_rng(5)
        self._features = random.standard_normal((FEATURES, DIM)).astype(np.float32)

    def encode(self, histories: Sequence[History]) -> tuple[Floats, Floats]:
        users = encode_windows(self._run, histories, dim=DIM, window=WINDOW, at_once=3)
        return np.empty((len(histories), 0), np.float32), users

    def _run(self, items: Floats, features: Floats, lengths: Ints) -> Floats:
        back = lengths[:, None] - 1 - np.arange(items.shape[1])
        weights = np.where(back >= 0, 0.8 ** np.maximum(back, 0), 0.0)[:, :, None]
        return unit_rows(((items + features @ self._features) * weights).sum(axis=1))


def window_release() -> Bundle:
    """`small_release` with a transformer's manifest and the encoder above."""
    bundle = small_release()
    spec = EncoderSpec(kind="transformer", dim=DIM, state_size=0, features=FEATURES, window=WINDOW)
    manifest = msgspec.structs.replace(bundle.manifest, encoder=spec)
    return replace(bundle, manifest=manifest, encoder=WindowEncoder())
