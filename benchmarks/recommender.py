"""CPU microseconds per event of the engine by stage, without Kafka: full rings, distinct users.

    OMP_NUM_THREADS=1 python -m benchmarks.recommender [--bundle DIR] [--items 8000] [--profile]

Without a bundle it ranks random unit vectors with a random recurrence of the default sizes.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import schemas
from schemas import Click
from stream_app.bundle import Bundle, DataWindow, Manifest, Priors, load_bundle
from stream_app.catalog import Catalog
from stream_app.encoders import EncoderSpec, History
from stream_app.encoders.base import Floats
from stream_app.encoders.replay import replay
from stream_app.recommender import Recommender, SourceMessage
from stream_app.retrieval import build_index
from stream_app.users import (
    FEATURES,
    SourceEvent,
    UserState,
    apply,
    decode_state,
    encode_state,
    item_hash,
)

DIM, STATE_SIZE, WIDTH = 64, 256, 512


class RandomEncoder:
    """A gated recurrence with random weights, about as many products as the trained one."""

    backend = "numpy"
    dim = DIM
    state_size = STATE_SIZE

    def __init__(self, random: np.random.Generator) -> None:
        self._input = random.standard_normal((DIM + FEATURES, WIDTH)).astype(np.float32) / 8
        self._output = random.standard_normal((STATE_SIZE, DIM)).astype(np.float32) / 16

    def step(self, states: Floats, items: Floats, features: Floats) -> tuple[Floats, Floats]:
        inner = np.concatenate([items, features], axis=1) @ self._input
        gate = 1 / (1 + np.exp(-inner[:, :STATE_SIZE]))
        new = states * gate + (1 - gate) * inner[:, STATE_SIZE:]
        users = new @ self._output
        return new, users / np.linalg.norm(users, axis=1, keepdims=True)

    def encode(self, histories: Sequence[History]) -> tuple[Floats, Floats]:
        return replay(self.step, histories, dim=DIM, state_size=STATE_SIZE)


def random_bundle(items: int, random: np.random.Generator) -> Bundle:
    """A release of random vectors; items follow each other by a popularity of 1 / rank."""
    vectors = random.standard_normal((items, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    catalog = Catalog([f"item-{number}" for number in range(items)], vectors)
    successors = np.argsort(random.random((items, 64)), axis=1)[:, :32]
    successors = successors * (items // 64) + random.integers(0, items // 64, successors.shape)
    priors = Priors(
        successors=successors.astype(np.int32),
        counts=np.tile((64 / np.arange(1, 33)).astype(np.float32), (items, 1)),
        popularity=(10_000 / np.arange(1, items + 1)).astype(np.float32),
    )
    manifest = Manifest(
        name="random",
        version="1",
        created="2026-01-01T00:00:00+00:00",
        encoder=EncoderSpec(kind="recurrent", dim=DIM, state_size=STATE_SIZE, features=FEATURES),
        data=DataWindow(source="random", events=0, from_ms=0, until_ms=0),
        files={},
    )
    index = build_index(catalog.vectors)
    return Bundle(Path(), manifest, RandomEncoder(random), catalog, index, priors)


def full_rows(
    recommender: Recommender, users: int, random: np.random.Generator
) -> dict[str, bytes]:
    """Encoded rows of users with full rings, made by the recommender itself."""
    ids = recommender.bundle.catalog.ids
    weights = 1 / np.arange(1, len(ids) + 1)
    rows = {}
    names = [f"user-{number}" for number in range(users)]
    for start in range(0, users, 256):
        states: dict[str, UserState | None] = {}
        messages = []
        for name in names[start : start + 256]:
            state = UserState()
            chosen = random.choice(len(ids), 100, p=weights / weights.sum())
            for offset, item in enumerate(chosen):
                event = SourceEvent(item_hash(ids[item]), offset * 60_000, 2, 1, "clicks/0", offset)
                state, _ = apply(state, event)
            states[name] = state
            click = Click(user_id=name, item_id=ids[0], timestamp_ms=6_000_000)
            messages.append(SourceMessage(click, "clicks", 0, 100))
        for name, state in recommender.process(messages, states).states.items():
            rows[name] = encode_state(state)
    return rows


def measure(
    recommender: Recommender, rows: dict[str, bytes], batch: int, batches: int
) -> dict[str, float]:
    """CPU seconds by stage over some batches of distinct random users."""
    random = np.random.default_rng(1)
    ids, names = recommender.bundle.catalog.ids, list(rows)
    spent: defaultdict[str, float] = defaultdict(float)
    for number in range(batches):
        messages = [
            SourceMessage(
                Click(
                    user_id=names[user],
                    item_id=ids[random.integers(len(ids))],
                    timestamp_ms=7_000_000 + number,
                ),
                "clicks",
                0,
                101 + number,
            )
            for user in random.choice(len(names), batch, replace=False)
        ]
        began = time.process_time()
        states = {m.message.user_id: decode_state(rows[m.message.user_id]) for m in messages}
        spent["decode rows"] += time.process_time() - began
        began = time.process_time()
        processed = recommender.process(messages, states)
        spent["process (all below)"] += time.process_time() - began
        for stage, seconds in processed.stages.items():
            spent["  " + stage] += seconds
        began = time.process_time()
        rows |= {user: encode_state(state) for user, state in processed.states.items()}
        spent["encode rows"] += time.process_time() - began
        began = time.process_time()
        for made in processed.recommendations:
            schemas.encode(made, "msgpack")
        spent["encode lists"] += time.process_time() - began
    return spent


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--items", type=int, default=8_000)
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--profile", action="store_true", help="print where Python spends it")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    bundle = load_bundle(options.bundle) if options.bundle else random_bundle(options.items, random)
    # The engine times its stages on the wall; here other processes must not count.
    time.perf_counter = time.process_time
    recommender = Recommender(bundle, clock=lambda: int(time.time() * 1000))
    rows = full_rows(recommender, options.users, random)
    measure(recommender, dict(rows), options.batch, 5)
    spent = measure(recommender, rows, options.batch, options.batches)
    events = options.batch * options.batches
    print(f"{len(bundle.catalog)} items, batches of {options.batch}, {events} events")
    for stage, seconds in spent.items():
        print(f"{stage:22} {seconds / events * 1e6:7.2f} us/event")
    whole = sum(seconds for stage, seconds in spent.items() if not stage.startswith(" "))
    print(f"{'whole':22} {whole / events * 1e6:7.2f} us/event")
    if options.profile:
        profile(recommender, rows, options.batch)


def profile(recommender: Recommender, rows: dict[str, bytes], batch: int) -> None:
    """Print the functions that the most time is spent in."""
    import cProfile
    import pstats

    profiler = cProfile.Profile()
    profiler.runcall(measure, recommender, rows, batch, 40)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
