"""What is popular in all partitions: this worker's counts for the others, and theirs for it.

Counts of a partition are kept by who reads it, published about once a second, and merged by every
worker (`stream_app.ranking.live.counters`). They start from nothing with every release, beside what
its training data taught.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas import ItemTrend
from stream_app.catalog import Catalog
from stream_app.ranking import LiveStores
from stream_app.ranking.live.counters import Counts

MOST_AT_ONCE = 500
"""Counts published together: a few milliseconds of work. Where more have grown, those that have
grown most come first."""

MOST_EVENTS_LOG2 = 50.0
"""No partition holds 2 ** 50 events."""

Published = tuple[int, ItemTrend]
"""Number of the partition that was counted, and the count."""


class SharedTrends:
    """Of one release; use from the thread of the recommender."""

    def __init__(self, catalog: Catalog, live: LiveStores, release: str) -> None:
        self._catalog = catalog
        self._live = live
        self._release = release
        self._taken: Counts | None = None

    def merge(self, published: Sequence[Published]) -> None:
        """Take up counts, our own among them, in any order; those of another release are not ours.

        Items that are not held yet join the catalogue as those that are clicked do.
        """
        ours = [
            (partition, place, one)
            for partition, one in published
            if self._fits(one) and (place := self._catalog.index_or_add(one.item_id)) >= 0
        ]
        if not ours:
            return
        self._live.grow(len(self._catalog))
        rise = self._live.counts.merge(
            np.array([partition for partition, _, _ in ours], np.int64),
            np.array([place for _, place, _ in ours], np.int32),
            np.array([one.level for _, _, one in ours], np.float64),
        )
        self._live.trends.add(rise, max(one.at_ms for _, _, one in ours))

    def _fits(self, one: ItemTrend) -> bool:
        """Whether it was counted as we count, and can be true."""
        half_life = self._live.counts.half_life_ms
        return (
            one.release == self._release
            and one.half_life_ms == half_life
            and one.level <= one.at_ms / half_life + MOST_EVENTS_LOG2
        )

    def unpublished(self, most: int = MOST_AT_ONCE) -> list[Published]:
        """What has grown since it was published last; taken for published from now on."""
        counts = self._taken = self._live.counts.unpublished(most)
        now_ms = self._live.trends.now_ms
        half_life = self._live.counts.half_life_ms
        return [
            (
                partition,
                ItemTrend(
                    item_id=self._catalog.ids[item],
                    release=self._release,
                    half_life_ms=half_life,
                    level=level,
                    at_ms=now_ms,
                ),
            )
            for partition, item, level in zip(*(one.tolist() for one in counts), strict=True)
        ]

    def not_published(self) -> None:
        """What was taken last could not be published: it is given again."""
        if self._taken is not None:
            self._live.counts.not_published(self._taken)
            self._taken = None
