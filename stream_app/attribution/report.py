"""What became of lists, as a table: rates with intervals, of users as clusters."""

from __future__ import annotations

import msgspec

from stream_app.attribution.clusters import Clusters, Rate, interval
from stream_app.attribution.join import (
    ALL,
    BOUGHT,
    CLICKED,
    DIMENSIONS,
    MADE,
    RANK,
    SHOWN,
    Key,
    Users,
)
from stream_app.attribution.off_policy import OffPolicyReport


class Row(msgspec.Struct, frozen=True):
    """What happened to the items of lists of one kind."""

    dimension: str
    """`all`, `source`, `rank`, `release` or `arm`."""
    name: str
    made: int
    """Items in lists."""
    shown: int
    clicked: int
    bought: int
    click_rate: Rate
    """Clicked items per shown item; per item made, where no impressions were sent."""
    purchase_rate: Rate


class Report(msgspec.Struct, frozen=True):
    """The answer of `stream-app attribution`."""

    since_ms: int
    until_ms: int
    lists: int
    users: int
    per: str
    """`shown` or `made`: what the rates are of."""
    rows: list[Row]
    unmatched: dict[str, int]
    """Feedback that was joined to no list, by why."""
    rejected: int
    """Records that are no messages."""
    off_policy: OffPolicyReport | None = None
    """Where it was asked for."""


class Totals:
    """Sums over users of what happened to the items of their lists."""

    def __init__(self) -> None:
        self.users = 0
        self._sums: Clusters[Key] = Clusters(4)

    def add(self, users: Users) -> None:
        """Add the counts of users."""
        for _, counts in users:
            self.users += 1
            for key, row in counts.items():
                self._sums.add(key, row)

    def per(self) -> int:
        """The column that rates are of."""
        return SHOWN if self._sums.sums((ALL, ""))[SHOWN] else MADE

    def rows(self) -> list[Row]:
        """One row for each key, by dimension, the largest first, ranks in order."""
        per = self.per()
        keys = self._sums.keys()
        keys.sort(key=lambda key: (DIMENSIONS.index(key[0]), *self._place(key)))
        return [self._row(key, per) for key in keys]

    def _place(self, key: Key) -> tuple[float, str]:
        dimension, name = key
        return (float(name) if dimension == RANK else -self._sums.sums(key)[MADE], name)

    def _row(self, key: Key, per: int) -> Row:
        made, shown, clicked, bought = (int(value) for value in self._sums.sums(key))
        rates = (interval(self._sums.ratio(key, column, per)) for column in (CLICKED, BOUGHT))
        return Row(*key, made, shown, clicked, bought, *rates)
