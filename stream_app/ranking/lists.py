"""Ranked arrays as the lists of `Recommendation`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.messages import RankedItem
from stream_app.catalog import Catalog
from stream_app.ranking.batch import NONE, UserBatch
from stream_app.ranking.explain import led_to
from stream_app.ranking.live.transitions import TransitionStore
from stream_app.ranking.pipeline import Ranked

# Enough to tell neighbours apart; more digits only make JSON longer.
_DECIMALS = 4


class ListBuilder:
    """Builds the items of lists; tuples of names are shared, as there are few different ones."""

    def __init__(
        self,
        catalog: Catalog,
        sources: Sequence[str],
        k: int,
        transitions: TransitionStore,
        recent: int,
    ) -> None:
        """`sources` are the names behind the bits of `Ranked.sources`; an item is explained by
        the transitions from the user's last `recent` items.
        """
        self._catalog = catalog
        self._transitions = transitions
        self._recent = recent
        self._ranks = range(1, k + 1)
        self._sources = [
            tuple(name for bit, name in enumerate(sources) if marks >> bit & 1)
            for marks in range(1 << len(sources))
        ]

    def build(self, ranked: Ranked, users: UserBatch) -> list[tuple[RankedItem, ...]]:
        """One tuple of items for each of the `R` users."""
        ids = self._catalog.ids
        causes = led_to(users, ranked.items, self._transitions, self._recent)
        reasons: dict[int, tuple[str, ...]] = {
            cause: (f"after {ids[cause]}",) for cause in np.unique(causes).tolist() if cause >= 0
        }
        reasons[NONE] = ()
        counts = np.count_nonzero(ranked.items != NONE, axis=1).tolist()
        rows = zip(
            ranked.items.tolist(),
            ranked.scores.astype(np.float64).round(_DECIMALS).tolist(),
            ranked.sources.tolist(),
            causes.tolist(),
            counts,
            strict=True,
        )
        return [
            tuple(
                map(
                    RankedItem,
                    map(ids.__getitem__, items[:count]),
                    scores,
                    self._ranks,
                    map(self._sources.__getitem__, marks),
                    map(reasons.__getitem__, because),
                )
            )
            for items, scores, marks, because, count in rows
        ]
