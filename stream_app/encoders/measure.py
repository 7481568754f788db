"""How fast an encoder is: latency of a call, and users encoded in a second of processor time."""

from __future__ import annotations

import time
from typing import cast

import msgspec
import numpy as np

from stream_app.encoders.base import SequenceEncoder, SteppedEncoder
from stream_app.encoders.spec import EncoderSpec
from stream_app.encoders.trial import random_histories, random_step

WARM_UP_CALLS = 10
FEWEST_CALLS = 20


class Speed(msgspec.Struct, frozen=True):
    """Figures of one encoder at one size of batch."""

    backend: str
    precision: str
    batch: int
    calls: int
    p50_ms: float
    """Median time of a call, by the clock."""
    p99_ms: float
    events_per_cpu_s: float
    """Users of a batch by the processor time of the whole process; of a GPU it says nothing."""


def measure(
    encoder: SequenceEncoder, spec: EncoderSpec, batch: int, *, precision: str, seconds: float
) -> Speed:
    """Call the encoder for about so many `seconds` with one batch of random users.

    One call is a step, or for an encoder without a state one encoding of histories of all lengths
    up to the window.
    """
    if spec.window:
        histories = random_histories(spec, batch)

        def call() -> None:
            encoder.encode(histories)
    else:
        inputs, stepped = random_step(spec, batch), cast(SteppedEncoder, encoder)

        def call() -> None:
            stepped.step(*inputs)

    for _ in range(WARM_UP_CALLS):
        call()
    times: list[int] = []
    ends_at = time.perf_counter_ns() + int(seconds * 1e9)
    cpu = time.process_time()
    before = time.perf_counter_ns()
    while before < ends_at or len(times) < FEWEST_CALLS:
        call()
        after = time.perf_counter_ns()
        times.append(after - before)
        before = after
    cpu = time.process_time() - cpu
    middle, high = np.percentile(np.array(times) / 1e6, [50, 99])
    return Speed(
        backend=encoder.backend,
        precision=precision,
        batch=batch,
        calls=len(times),
        p50_ms=float(middle),
        p99_ms=float(high),
        events_per_cpu_s=len(times) * batch / max(cpu, 1e-9),
    )
