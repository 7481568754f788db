"""What a method under evaluation is: something that learns from events and scores all items."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_app.evaluation.histories import Histories
from stream_app.evaluation.protocols import Split

Floats = NDArray[np.float32]


class Method(Protocol):
    """A recommender that is fitted once and then asked about many histories.

    ```
    method.fit(split)                       # learns from split.train, may stop by split.validation
    method.scores(split.test.histories)     # [B, N], a higher score is a better item
    ```
    """

    @property
    def name(self) -> str:
        """How the method is called on the command line and in the report."""

    def fit(self, split: Split) -> None:
        """Learn from `split.train`; raises `EvaluationError` when it cannot."""

    def scores(self, histories: Histories) -> Floats:
        """Scores float32 `[B, N]` of all `N = len(item_ids)` items after each history.

        `-inf` marks an item that the method never recommends; NaN is refused. A method looks only
        at the events that `histories` counts, never at later ones of the log.
        """
