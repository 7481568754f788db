"""Two encoders of the same graph, the second for when the first breaks while it serves."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import cast

from stream_app.degradations import Degradation, degraded
from stream_app.encoders.base import Floats, History, SequenceEncoder, SteppedEncoder

log = logging.getLogger(__name__)


class FallbackEncoder:
    """Runs on `first` until that fails, and from then on `second`; what failed is done again.

    A GPU that reports an error once answers no further call of the process, so there is no way
    back but a restart. `backend` says which of them runs.
    """

    def __init__(self, first: SequenceEncoder, second: SequenceEncoder) -> None:
        self._active, self._second = first, second
        self.backend = first.backend
        self.dim, self.state_size = first.dim, first.state_size

    def step(self, states: Floats, item_vectors: Floats, features: Floats) -> tuple[Floats, Floats]:
        """Advance each user by one event; see `SteppedEncoder.step`."""
        try:
            return cast(SteppedEncoder, self._active).step(states, item_vectors, features)
        except Exception as error:
            self._switch(error)
        return cast(SteppedEncoder, self._active).step(states, item_vectors, features)

    def encode(self, histories: Sequence[History]) -> tuple[Floats, Floats]:
        """States and user vectors of whole histories; see `SequenceEncoder.encode`."""
        try:
            return self._active.encode(histories)
        except Exception as error:
            self._switch(error)
        return self._active.encode(histories)

    def _switch(self, error: Exception) -> None:
        """Go over to the second; raises `error` if that one is at work already."""
        if self._active is self._second:
            raise error
        degraded(Degradation.ENCODER_FALLBACK)
        log.exception(
            "the encoder on %s failed; it runs on %s until this worker restarts",
            self.backend,
            self._second.backend,
        )
        self._active, self.backend = self._second, self._second.backend
