"""The recurrent part of a batch: every user's row brought up to date with its ring.

All users step together: round `n` takes the n-th pending event of every user that has one. A state
is rounded to float16 after each step, as it is when it is stored in between, so the rows at the end
do not depend on how the stream was cut into batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.encoders import SequenceEncoder
from stream_app.users.features import NO_PREVIOUS, sequence_features
from stream_app.users.state import EVENT_BYTES, Outcome, SourceEvent, UserState, apply, events_of

Halves = NDArray[np.float16]

_EXPONENT = np.uint16(0x7C00)


class UserUpdate:
    """One user's part of a batch: the row so far, and the events that its encoder has to take."""

    __slots__ = ("broken", "pending", "previous_ms", "start", "state")

    def __init__(self, state: UserState, encoded: bool) -> None:
        """`encoded` says that `hidden` and `vector` are of the serving release."""
        self.state = state
        self.broken = False
        """The encoder gave something that is not a number."""
        self.pending: list[bytes] = []
        """Packed events, oldest first."""
        if encoded:
            self.start = state.hidden
            self.previous_ms = state.last_timestamp_ms
        else:
            self._replay_ring()

    def take(self, event: SourceEvent) -> Outcome:
        """Apply one event."""
        self.state, outcome = apply(self.state, event)
        if outcome is Outcome.APPLIED:
            self.pending.append(self.state.history[-EVENT_BYTES:])
        elif outcome is Outcome.LATE:
            self._replay_ring()
        return outcome

    def _replay_ring(self) -> None:
        """Start from nothing with the ring as it is now: what later batches would start from."""
        self.start = b""
        self.previous_ms = NO_PREVIOUS
        self.pending = [self.state.history]


class _Steps(NamedTuple):
    """Pending events round by round: first the first of every user, then the second of ..."""

    active: list[int]
    """How many users each round has; they are the first ones, as the longest come first."""
    items: NDArray[np.int32]
    features: NDArray[np.float32]


class Advancer:
    """Runs the encoder over updates; use from one thread at a time."""

    def __init__(self, encoder: SequenceEncoder, catalog: Catalog, release: str) -> None:
        self._encoder = encoder
        self._catalog = catalog
        self._release = release

    def begin(self, state: UserState | None) -> UserUpdate:
        """Start the update of a row; None is a user never seen before."""
        if state is None:
            state = UserState()
        encoded = (
            state.release == self._release
            and len(state.hidden) == 2 * self._encoder.state_size
            and len(state.vector) == 2 * self._encoder.dim
        )
        return UserUpdate(state, encoded)

    def advance(self, updates: Iterable[UserUpdate]) -> None:
        """Step what is pending and write `hidden`, `vector` and `release` to each row."""
        blobs = [(b"".join(update.pending), update) for update in updates if update.pending]
        blobs.sort(key=lambda one: -len(one[0]))
        blobs = [one for one in blobs if one[0]]
        if not blobs:
            return
        stepped = [update for _, update in blobs]
        steps = self._steps([blob for blob, _ in blobs], stepped)
        hidden, vectors = self._run(steps, self._initial(stepped))
        broken = _not_finite(hidden) | _not_finite(vectors)
        rows = zip(stepped, _slices(hidden), _slices(vectors), strict=True)
        for row, (update, state, vector) in enumerate(rows):
            fine = row not in broken
            update.broken = not fine
            update.state = msgspec.structs.replace(
                update.state,
                hidden=state if fine else b"",
                vector=vector if fine else b"",
                release=self._release if fine else "",
            )

    def _steps(self, blobs: list[bytes], updates: list[UserUpdate]) -> _Steps:
        lengths = np.array([len(blob) for blob in blobs]) // EVENT_BYTES
        starts = np.cumsum(lengths) - lengths
        events = events_of(b"".join(blobs))
        times = np.ascontiguousarray(events["timestamp_ms"])
        gaps = np.zeros_like(times)
        np.subtract(times[1:], times[:-1], out=gaps[1:])
        previous = np.array([update.previous_ms for update in updates])
        gaps[starts] = np.where(previous == NO_PREVIOUS, NO_PREVIOUS, times[starts] - previous)
        rounds = np.arange(len(events)) - starts.repeat(lengths)
        order = np.argsort(rounds, kind="stable")
        events, gaps = events[order], gaps[order]
        return _Steps(
            np.bincount(rounds).tolist(),
            self._catalog.lookup(np.ascontiguousarray(events["item"])),
            sequence_features(events["action"], gaps),
        )

    def _initial(self, updates: list[UserUpdate]) -> NDArray[np.float32]:
        size = self._encoder.state_size
        zeros = bytes(2 * size)
        blob = b"".join([update.start or zeros for update in updates])
        return np.frombuffer(blob, np.float16).reshape(-1, size).astype(np.float32)

    def _run(self, steps: _Steps, states: NDArray[np.float32]) -> tuple[Halves, Halves]:
        """Final states `[B, S]` and vectors `[B, d]`, float16, in the order of `steps`."""
        hidden = np.empty(states.shape, np.float16)
        vectors = np.empty((len(states), self._encoder.dim), np.float16)
        start = 0
        with np.errstate(over="ignore"):  # beyond float16 is not finite: `advance` sees it
            for active in steps.active:
                rows = slice(start, start + active)
                items = self._catalog.vectors_of(steps.items[rows])
                new, users = self._encoder.step(states[:active], items, steps.features[rows])
                hidden[:active] = new
                vectors[:active] = users
                start += active
                if start < len(steps.items):
                    states[:active] = hidden[:active]
        return hidden, vectors


def _not_finite(halves: Halves) -> set[int]:
    """Rows with something that is not a number; numpy's own test of float16 is ten times slower."""
    wrong = (halves.view(np.uint16) & _EXPONENT) == _EXPONENT
    return set(np.flatnonzero(wrong.any(axis=1)).tolist())


def _slices(array: Halves) -> Iterator[bytes]:
    blob, size = array.tobytes(), array.shape[1] * array.itemsize
    return (blob[at : at + size] for at in range(0, len(blob), size))
