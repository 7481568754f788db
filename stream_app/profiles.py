"""Profiles and queries as vectors among the items: read once, projected when a list is made.

What a text encoder makes of a profile's text lies in the user's row, so a new release with the same
encoder only projects it anew. A row whose text this process cannot read keeps it until one can.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.advance import UserUpdate
from stream_app.bundle import Bundle
from stream_app.degradations import Degradation, degraded
from stream_app.ranking.batch import Floats, UserBatch
from stream_app.text import TextEncoder, TextError
from stream_app.users.profile import profile_of, unread, with_reading
from stream_app.users.state import UserState

log = logging.getLogger(__name__)

STRANGER_WEIGHT = 0.02
"""How much the cosine to the profile counts for a user without events, where that to the user's own
vector counts `RankingSpec.personal`. Measured on MovieLens small (docs/cold-users.md): what is
popular is better there than any profile, and this much costs nothing that can be measured."""
PROFILE_WEIGHT = 0.35
"""The same after the first event, when it has more to outweigh than popularity; then it fades."""
FADE_EVENTS = 10
"""After so many events a profile counts half."""
LAST_EVENTS = 100
"""From so many events on it is left out of ranking, and costs nothing."""
QUERY_WEIGHT = 0.5
"""A query of somebody without events is mixed with popularity, so that known items come first."""
QUERY_WEIGHT_KNOWN = 3.0
"""One of a user with events says what is wanted now: it has to outweigh what the user did, which
is worth several nats."""
MOVED = 0.5
"""How much of that offset is taken off a query: measured, see docs/cold-users.md."""
# fmt: off
EVERYDAY = (
    "music", "war", "love", "animals", "family", "food", "travel", "sport", "children", "money",
    "work", "night", "city", "water", "winter", "history", "science", "school", "magic", "power",
    "red", "large", "old", "fast", "funny", "sad", "dark", "light", "home", "garden", "road",
    "friends",
)
# fmt: on
"""A query is not worded as items are: no year, no list of categories. In the space of the items
that is an offset which all queries share, and which would bring the same few items to everybody. It
is estimated by the mean of these words less that of the items."""


class Queried(NamedTuple):
    """What an encoder made of the queries of some requests."""

    vectors: Floats
    """Item space `[R, d]`; zeros where nothing is asked for, or nothing could be read."""
    unread: frozenset[int]
    """Rows whose query could not be read."""


class Profiles:
    """Reads the texts of users for one release; use from the thread that recommends."""

    def __init__(self, bundle: Bundle, encoder: TextEncoder | None = None) -> None:
        """Raises `TextError` for an encoder that the release was not trained with."""
        self._text = bundle.text
        self._release = bundle.release
        self._dim = bundle.catalog.dim
        self._told = False
        self.use(encoder)

    def use(self, encoder: TextEncoder | None) -> None:
        """Read with this encoder from now on. Raises `TextError` for another than the release's."""
        if encoder is not None and (self._text is None or encoder.digest != self._text.spec.sha256):
            knows = "no texts" if self._text is None else f"texts as {self._text.spec.encoder} does"
            raise TextError(
                f"release {self._release} knows {knows}, and not as sha256 {encoder.digest}; give "
                "the directory that it was trained with"
            )
        self._encoder = encoder
        self._offset: Floats | None = None

    def read(self, updates: Iterable[UserUpdate]) -> int:
        """Read the texts that no encoder of the release has read yet; returns how many."""
        if self._text is None:
            return 0
        digest = self._text.spec.sha256
        found = [(one, profile_of(one.state)) for one in updates if one.state.profile]
        waiting = [(one, profile.text) for one, profile in found if unread(profile, digest)]
        if not waiting:
            return 0
        if self._encoder is None:
            self._tell()
            degraded(Degradation.TEXT_UNREAD, len(waiting))
            return 0
        vectors, _ = self._encode([text for _, text in waiting])
        for (update, _), vector in zip(waiting, vectors, strict=True):
            blob = vector.astype("<f2").tobytes() if vector.any() else b""
            update.state = with_reading(update.state, digest, blob)
        return len(waiting)

    def ask(self, queries: Sequence[str | None]) -> Queried | None:
        """Read the queries of requests, None for one without; None when there is none at all."""
        rows = [row for row, query in enumerate(queries) if query]
        if not rows:
            return None
        vectors = np.zeros((len(queries), self._dim), np.float32)
        if self._encoder is None or self._text is None:
            return Queried(vectors, frozenset(rows))
        texts, failed = self._encode([queries[row] or "" for row in rows])
        vectors[rows] = self._text.project(self._moved(texts))
        return Queried(vectors, frozenset(rows[at] for at in failed))

    def bring(
        self, users: UserBatch, states: Sequence[UserState], queried: Queried | None = None
    ) -> UserBatch:
        """The batch with what is said of its users, whose rows are `states`: a query goes first."""
        vectors = None
        if self._text is not None and any(state.profile for state in states):
            vectors = self._vectors(states)
        if queried is not None:
            asked = queried.vectors.any(axis=1)
            if asked.any():
                vectors = np.zeros_like(queried.vectors) if vectors is None else vectors
                known = np.array([bool(state.events) for state in states])
                weights = np.where(known, QUERY_WEIGHT_KNOWN, QUERY_WEIGHT).astype(np.float32)
                vectors[asked] = (queried.vectors * weights[:, None])[asked]
        return users if vectors is None else replace(users, profiles=vectors)

    def _vectors(self, states: Sequence[UserState]) -> Floats | None:
        assert self._text is not None
        size = 2 * self._text.spec.dim
        rows, blobs = [], []
        for row, state in enumerate(states):
            if not state.profile or state.events >= LAST_EVENTS:
                continue
            profile = profile_of(state)
            if len(profile.vector) == size and not unread(profile, self._text.spec.sha256):
                rows.append(row)
                blobs.append(profile.vector)
        if not rows:
            return None
        texts = np.frombuffer(b"".join(blobs), "<f2").reshape(len(rows), -1).astype(np.float32)
        texts[~np.isfinite(texts).all(axis=1)] = 0
        weights = profile_weights(np.array([states[row].events for row in rows]))
        vectors = np.zeros((len(states), self._dim), np.float32)
        vectors[rows] = self._text.project(texts) * weights[:, None]
        return vectors

    def _moved(self, texts: Floats) -> Floats:
        """Queries `[B, t]` as items would word them; see `EVERYDAY`. Zeros stay zeros."""
        assert self._text is not None
        if self._offset is None:
            everyday = self._encode(EVERYDAY)[0].mean(axis=0)
            self._offset = (MOVED * (everyday - self._text.projection.mean)).astype(np.float32)
        texts[texts.any(axis=1)] -= self._offset
        return texts

    def _encode(self, texts: Sequence[str]) -> tuple[Floats, list[int]]:
        """Vectors `[B, t]`, zeros where the encoder fails on a text, and the places of those."""
        assert self._encoder is not None
        try:
            return self._finite(self._encoder.encode(texts)), []
        except Exception as error:  # ONNX Runtime's errors share no base class
            log.warning("the text encoder failed (%s); reading %d texts one by one",
                        type(error).__name__, len(texts))  # fmt: skip
        vectors, failed = np.zeros((len(texts), self._encoder.dim), np.float32), []
        for at, text in enumerate(texts):
            try:
                vectors[at] = self._finite(self._encoder.encode([text]))[0]
            except Exception:  # one bad text is nobody else's trouble
                failed.append(at)
        degraded(Degradation.TEXT_UNREAD, len(failed))
        return vectors, failed

    @staticmethod
    def _finite(vectors: Floats) -> Floats:
        vectors[~np.isfinite(vectors).all(axis=1)] = 0
        return vectors

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            log.warning("profiles have texts, but no text_encoder is set: they wait in the rows of "
                        "their users, and lists go without them")  # fmt: skip


def profile_weights(events: NDArray[Any]) -> Floats:
    """How much a profile counts `[n]` after so many events."""
    weights = np.where(events > 0, PROFILE_WEIGHT / (1 + events / FADE_EVENTS), STRANGER_WEIGHT)
    return np.where(events < LAST_EVENTS, weights, 0).astype(np.float32)
