"""A small bundle for tests: the recurrence of `onnx_step` over random items."""

from __future__ import annotations

import numpy as np
from onnx_step import StepModel, unit_rows

from stream_app.bundle import FANOUT, DataWindow, GoldenHistory, Priors, write_bundle
from stream_app.encoders import EncoderSpec


def bundle_parts(
    items: int = 60, dim: int = 8, state_size: int = 12, features: int = 5, seed: int = 0
) -> dict:
    """Arguments of `write_bundle`; change one to break it."""
    rng = np.random.default_rng(seed)
    priors = Priors(
        successors=rng.integers(-1, items, (items, FANOUT)).astype(np.int32),
        counts=rng.integers(0, 9, (items, FANOUT)).astype(np.float32),
        popularity=rng.integers(0, 99, items).astype(np.float32),
    )
    return {
        "name": "sample",
        "version": "1",
        "created": "2026-01-02T03:04:05+00:00",
        "encoder": EncoderSpec(kind="recurrent", dim=dim, state_size=state_size, features=features),
        "data": DataWindow(source="random", events=100, from_ms=0, until_ms=1000),
        "metrics": {"hit_rate_at_10": 0.25, "popular": {"hit_rate_at_10": 0.125}},
        "graph": StepModel(dim, state_size, features).onnx_bytes(),
        "items": [f"item-{n}" for n in range(items)],
        "vectors": unit_rows(rng.standard_normal((items, dim))),
        "priors": priors,
        "golden": [
            GoldenHistory(
                rng.integers(-1, items, length).astype(np.int32),
                rng.random((length, features), np.float32),
            )
            for length in (3, 1, 7)
        ],
    }


def write_sample_bundle(path, **sizes: int):
    """Write the bundle to `path` and return it."""
    write_bundle(path, **bundle_parts(**sizes))
    return path
