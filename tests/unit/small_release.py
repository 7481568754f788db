"""A release in memory for tests: random items and a gated recurrence in numpy, no files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stream_app.bundle import FANOUT, Bundle, DataWindow, Manifest, Priors
from stream_app.catalog import Catalog
from stream_app.encoders import EncoderSpec, History
from stream_app.encoders.base import Floats
from stream_app.encoders.replay import replay
from stream_app.retrieval import build_index
from stream_app.users import FEATURES

DIM = 8
STATE_SIZE = 12


class LinearEncoder:
    """`new = 0.9 state + item W + features V`, `user = normalise(new U)`."""

    backend = "numpy"
    dim = DIM
    state_size = STATE_SIZE

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self._items = random.standard_normal((DIM, STATE_SIZE)).astype(np.float32)
        self._features = random.standard_normal((FEATURES, STATE_SIZE)).astype(np.float32)
        self._users = random.standard_normal((STATE_SIZE, DIM)).astype(np.float32)

    def step(self, states: Floats, items: Floats, features: Floats) -> tuple[Floats, Floats]:
        new = 0.9 * states + items @ self._items + features @ self._features
        return new.astype(np.float32), unit_rows(new @ self._users)

    def encode(self, histories: Sequence[History]) -> tuple[Floats, Floats]:
        return replay(self.step, histories, dim=DIM, state_size=STATE_SIZE)


def unit_rows(rows: Floats) -> Floats:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def small_release(items: int = 40, *, seed: int = 0, version: str = "1") -> Bundle:
    """A release over `item-0`, `item-1`, ... with random vectors and priors."""
    random = np.random.default_rng(seed)
    vectors = unit_rows(random.standard_normal((items, DIM)))
    catalog = Catalog([f"item-{number}" for number in range(items)], vectors, items + 20)
    priors = Priors.empty(items)
    for row in range(items):
        followers = random.permutation(items)[: min(3, items)]
        priors.successors[row, : len(followers)] = followers
        priors.counts[row, : len(followers)] = random.integers(1, 9, len(followers))
    priors.popularity[:] = random.integers(0, 50, items)
    manifest = Manifest(
        name="small",
        version=version,
        created="2026-01-01T00:00:00+00:00",
        encoder=EncoderSpec(kind="recurrent", dim=DIM, state_size=STATE_SIZE, features=FEATURES),
        data=DataWindow(source="random", events=0, from_ms=0, until_ms=0),
        files={},
    )
    assert priors.successors.shape[1] == FANOUT
    encoder = LinearEncoder(seed)
    return Bundle(Path("small"), manifest, encoder, catalog, build_index(catalog.vectors), priors)
