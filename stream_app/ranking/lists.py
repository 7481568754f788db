"""Ranked arrays as the lists of `Recommendation`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise, repeat

import numpy as np
from numpy.typing import NDArray

from schemas.messages import RankedItem
from stream_app.catalog import Catalog
from stream_app.ranking.batch import NONE, Indices, UserBatch
from stream_app.ranking.explain import led_to
from stream_app.ranking.live.transitions import TransitionStore
from stream_app.ranking.pipeline import Ranked

# Enough to tell neighbours apart; more digits only make JSON longer.
_DECIMALS = 4
# A place of a list of 200 that is drawn in one of 100 lists has 1e-4.
_CHANCE_DECIMALS = 8


class _Names(dict[int, tuple[str, ...]]):
    """The names of the sources whose bits are set; few of the possible tuples ever occur."""

    def __init__(self, sources: Sequence[str]) -> None:
        super().__init__()
        self._sources = tuple(sources)

    def __missing__(self, marks: int) -> tuple[str, ...]:
        names = tuple(name for bit, name in enumerate(self._sources) if marks >> bit & 1)
        self[marks] = names
        return names


class ListBuilder:
    """Builds the items of lists; tuples of names are shared, as there are few different ones."""

    def __init__(
        self,
        catalog: Catalog,
        sources: Sequence[str],
        transitions: TransitionStore,
        recent: int,
    ) -> None:
        """`sources` are the names behind the bits of `Ranked.sources`; an item is explained by
        the transitions from the user's last `recent` items.
        """
        self._catalog = catalog
        self._transitions = transitions
        self._recent = recent
        self._sources = _Names(sources)

    def build(self, ranked: Ranked, users: UserBatch) -> list[tuple[RankedItem, ...]]:
        """One tuple of items for each of the `R` users."""
        return self.of(ranked, self.causes(users, ranked.items))

    def causes(self, users: UserBatch, items: Indices) -> Indices:
        """The last item of each user that led to each of `items` `[R, m]`; -1 for none."""
        return led_to(users, items, self._transitions, self._recent)

    def of(self, ranked: Ranked, causes: Indices) -> list[tuple[RankedItem, ...]]:
        """The same from known `causes` `[R, k]`."""
        ids = self._catalog.ids
        reasons: dict[int, tuple[str, ...]] = {
            cause: (f"after {ids[cause]}",) for cause in np.unique(causes).tolist() if cause >= 0
        }
        reasons[NONE] = ()
        held = ranked.items != NONE
        places = list(
            map(
                RankedItem,
                map(ids.__getitem__, ranked.items[held].tolist()),
                ranked.scores[held].astype(np.float64).round(_DECIMALS).tolist(),
                (held.nonzero()[1] + 1).tolist(),
                map(self._sources.__getitem__, ranked.sources[held].tolist()),
                map(reasons.__getitem__, causes[held].tolist()),
                *_propensities(ranked.propensities[held]),
            )
        )
        ends = np.cumsum(np.count_nonzero(held, axis=1)).tolist()
        return [tuple(places[start:end]) for start, end in pairwise([0, *ends])]


def _propensities(drawn: NDArray[np.float64]) -> list[Iterable[float | None]]:
    """What `RankedItem` takes last, for `n` items; nothing where nothing was drawn, as is usual."""
    known = ~np.isnan(drawn)
    if not known.any():
        return []
    rounded = drawn.round(_CHANCE_DECIMALS).astype(object)
    rounded[~known] = None
    return [repeat(None), rounded.tolist()]  # no explanation: it comes later, if at all
