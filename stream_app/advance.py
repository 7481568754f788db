"""The encoder's part of a batch: every user's row brought up to date with its ring.

With a state, all users step together: round `n` takes the n-th pending event of every user that
has one. A state is rounded to float16 after each step, as it is when it is stored in between.
Without a state, the last events of the ring are encoded again. Either way the rows at the end do
not depend on how the stream was cut into batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.degradations import Degradation, degraded
from stream_app.encoders import History, SequenceEncoder, SteppedEncoder
from stream_app.users.features import NO_PREVIOUS, sequence_features
from stream_app.users.profile import ProfileChange, apply_profile
from stream_app.users.state import EVENT_BYTES, Outcome, SourceEvent, UserState, apply, events_of

Halves = NDArray[np.float16]

_EXPONENT = np.uint16(0x7C00)


class UserUpdate:
    """One user's part of a batch: the row so far, and the events that its encoder has to take.

    An encoder without a state only asks whether there are any.
    """

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

    def take_profile(self, change: ProfileChange) -> Outcome:
        """Take up what is said of the user; the encoder of events has nothing to do with it."""
        self.state, outcome = apply_profile(self.state, change)
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

    def __init__(
        self, encoder: SequenceEncoder, catalog: Catalog, release: str, *, window: int = 0
    ) -> None:
        """`window` is the `EncoderSpec.window` of `encoder`."""
        self._encoder = encoder
        self._catalog = catalog
        self._release = release
        self._window = window

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
        """Encode what is pending and write `hidden`, `vector` and `release` to each row."""
        blobs = [(b"".join(update.pending), update) for update in updates if update.pending]
        blobs.sort(key=lambda one: -len(one[0]))
        blobs = [one for one in blobs if one[0]]
        if not blobs:
            return
        pending = [update for _, update in blobs]
        if self._window:
            hidden, vectors = self._encode_windows(pending)
        else:
            steps = self._steps([blob for blob, _ in blobs], pending)
            hidden, vectors = self._run(steps, self._initial(pending))
        broken = _not_finite(hidden) | _not_finite(vectors)
        degraded(Degradation.VECTOR_NOT_FINITE, len(broken))
        rows = zip(pending, _slices(hidden), _slices(vectors), strict=True)
        for row, (update, state, vector) in enumerate(rows):
            fine = row not in broken
            update.broken = not fine
            update.state = msgspec.structs.replace(
                update.state,
                hidden=state if fine else b"",
                vector=vector if fine else b"",
                release=self._release if fine else "",
            )

    def _encode_windows(self, updates: list[UserUpdate]) -> tuple[Halves, Halves]:
        """No states `[B, 0]`, and vectors `[B, d]` of the last events of every ring."""
        # One event more than the window, so that the first of the window has a gap.
        most = (self._window + 1) * EVENT_BYTES
        blobs = [update.state.history[-most:] for update in updates]
        lengths, ends, events = _laid_out(blobs)
        gaps = _gaps(events, ends - lengths, np.full(len(blobs), NO_PREVIOUS))
        items = self._catalog.lookup(np.ascontiguousarray(events["item"]))
        item_vectors = self._catalog.vectors_of(items)
        features = sequence_features(events["action"], gaps)
        starts = ends - np.minimum(lengths, self._window)
        histories = [
            History(item_vectors[start:end], features[start:end])
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
        _, vectors = self._encoder.encode(histories)
        with np.errstate(over="ignore"):  # beyond float16 is not finite: `advance` sees it
            return np.empty((len(blobs), 0), np.float16), vectors.astype(np.float16)

    def _steps(self, blobs: list[bytes], updates: list[UserUpdate]) -> _Steps:
        lengths, ends, events = _laid_out(blobs)
        starts = ends - lengths
        gaps = _gaps(events, starts, np.array([update.previous_ms for update in updates]))
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
        step = cast(SteppedEncoder, self._encoder).step
        hidden = np.empty(states.shape, np.float16)
        vectors = np.empty((len(states), self._encoder.dim), np.float16)
        start = 0
        with np.errstate(over="ignore"):  # beyond float16 is not finite: `advance` sees it
            for active in steps.active:
                rows = slice(start, start + active)
                items = self._catalog.vectors_of(steps.items[rows])
                new, users = step(states[:active], items, steps.features[rows])
                hidden[:active] = new
                vectors[:active] = users
                start += active
                if start < len(steps.items):
                    states[:active] = hidden[:active]
        return hidden, vectors


def _laid_out(blobs: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.void]]:
    """Events per blob, the places where each ends among all events, and the events, end to end."""
    lengths = np.array([len(blob) for blob in blobs]) // EVENT_BYTES
    return lengths, np.cumsum(lengths), events_of(b"".join(blobs))


def _gaps(
    events: NDArray[np.void], starts: NDArray[np.int64], previous_ms: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Ms since the event before; for the events at `starts`, since their `previous_ms`."""
    times = np.ascontiguousarray(events["timestamp_ms"])
    gaps = np.zeros_like(times)
    np.subtract(times[1:], times[:-1], out=gaps[1:])
    gaps[starts] = np.where(previous_ms == NO_PREVIOUS, NO_PREVIOUS, times[starts] - previous_ms)
    return gaps


def _not_finite(halves: Halves) -> set[int]:
    """Rows with something that is not a number; numpy's own test of float16 is ten times slower."""
    wrong = (halves.view(np.uint16) & _EXPONENT) == _EXPONENT
    return set(np.flatnonzero(wrong.any(axis=1)).tolist())


def _slices(array: Halves) -> Iterator[bytes]:
    blob, size = array.tobytes(), array.shape[1] * array.itemsize
    return (blob[at * size : (at + 1) * size] for at in range(len(array)))
