"""Two backends side by side on the same random users: do they compute the same?"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from stream_app.encoders.base import Floats, History, SequenceEncoder, SteppedEncoder
from stream_app.encoders.spec import EncoderSpec

# How far outputs in a precision may be from what they should be, relative above 1. float32 on
# another machine differs by about 1e-6 in every step, a float16 graph by up to 4e-3 after fifty of
# them, an int8 graph by 2.5e-2; other weights or another item by 1e-1.
TOLERANCES = {"fp32": 2e-3, "fp16": 1e-2, "int8": 5e-2}


def difference(
    encoder: SequenceEncoder, reference: SequenceEncoder, spec: EncoderSpec, batch: int
) -> float:
    """Largest difference of states and user vectors over `batch` users; NaN if any is NaN.

    Relative above 1, absolute below, as the golden batch of a bundle is compared.
    """
    worst = 0.0
    for found, expected in zip(
        _outputs(encoder, spec, batch), _outputs(reference, spec, batch), strict=True
    ):
        apart = np.abs(found - expected) / (1 + np.abs(expected))
        worst = float(np.maximum(worst, apart.max(initial=0.0)))
    return worst


def random_step(spec: EncoderSpec, batch: int, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """States `[B, S]`, unit item vectors `[B, d]` and features `[B, f]` of `batch` users."""
    rng = np.random.default_rng(seed)
    states = rng.standard_normal((batch, spec.state_size)).astype(np.float32)
    items = _unit(rng.standard_normal((batch, spec.dim)))
    return states, items, rng.random((batch, spec.features), np.float32)


def random_histories(spec: EncoderSpec, batch: int, seed: int = 0) -> list[History]:
    """Histories of 1 to `window` events, the first as long as the window."""
    rng = np.random.default_rng(seed)
    window = spec.window
    lengths = [window, *rng.integers(1, window + 1, batch - 1).tolist()]
    return [
        History(
            _unit(rng.standard_normal((length, spec.dim))),
            rng.random((length, spec.features), np.float32),
        )
        for length in lengths
    ]


def _outputs(encoder: SequenceEncoder, spec: EncoderSpec, batch: int) -> tuple[Floats, Floats]:
    if spec.window:
        return encoder.encode(random_histories(spec, batch))
    return cast(SteppedEncoder, encoder).step(*random_step(spec, batch))


def _unit(rows: NDArray[np.floating]) -> Floats:
    unit: Floats = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return unit
