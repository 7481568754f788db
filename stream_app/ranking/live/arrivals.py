"""New arrivals: items that the release has learned nothing of and that few have been at so far.

Scores go by what was learned, so an item that nobody touched would stay so. It gets a share of the
lists (`stream_app.ranking.rerankers.explore`) until people have had a chance to take to it.
"""

from __future__ import annotations

import numpy as np

from stream_app.catalog import Catalog, ItemTable
from stream_app.catalog.table import LISTED
from stream_app.ranking.batch import Indices
from stream_app.ranking.live.trends import TrendStore

NEW_EVENTS = 10.0
"""With so many events an item is found by what follows what, like every other."""
NEW_LISTS = 500
"""Lists of this worker in the lower half of which an item is tried: at two clicks in a hundred
lists it has its `NEW_EVENTS` by then, and one that nobody wants makes room for the next."""
LOOK_MS = 1_000
"""How often it is looked whether arrivals have had their events and lists."""


class Arrivals:
    """Items listed on the topic `items` that the release does not have; from one thread at a time.

    Costs nothing while there are none.
    """

    def __init__(self, catalog: Catalog, table: ItemTable, trends: TrendStore) -> None:
        """`catalog` holds the items of the release, and no other yet; `trends` counts events."""
        self._catalog = catalog
        self._table = table
        self._trends = trends
        self._release = len(catalog)
        self._lists = np.zeros(0, np.int64)
        self._looked = (self._release, catalog.changes)
        self._look_at_ms = 0
        self.newest: Indices = np.zeros(0, np.int32)
        """Positions of the arrivals, the last to join first."""

    def __len__(self) -> int:
        return len(self.newest)

    def at(self, now_ms: int) -> None:
        """Begin a batch at a time (Unix ms), after the catalogue has."""
        if len(self._catalog) == self._release:
            return
        looked = (len(self._catalog), self._catalog.changes)
        if looked == self._looked and (now_ms < self._look_at_ms or not len(self.newest)):
            return
        self._looked, self._look_at_ms = looked, now_ms + LOOK_MS
        joined = np.arange(self._release, len(self._catalog), dtype=np.int32)
        if len(self._lists) < len(joined):
            more = len(joined) - len(self._lists) + len(self._lists) // 2
            self._lists = np.append(self._lists, np.zeros(more, np.int64))
        new = self._table.state[self._release :] == LISTED
        new &= self._lists[: len(joined)] < NEW_LISTS
        new &= self._trends.events(joined) < NEW_EVENTS
        if self._catalog.available is not None:
            new &= self._catalog.available[self._release : len(self._catalog)]
        self.newest = joined[new][::-1]

    def tried(self, items: Indices) -> None:
        """Arrivals `[n]` have been put into lists."""
        np.add.at(self._lists, items - self._release, 1)
