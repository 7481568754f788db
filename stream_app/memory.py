"""Rows of users without a store: those of the users that were seen last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from stream_app.users.state import UserState

MOST_USERS = 10_000
"""25 MB of full rows."""


class RowsInMemory(Mapping[str, UserState]):
    """At most `MOST_USERS` rows by user id."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, UserState] = OrderedDict()

    def __getitem__(self, user_id: str) -> UserState:
        return self._rows[user_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def keep(self, rows: Mapping[str, UserState]) -> None:
        """Keep these as the newest."""
        for user_id, state in rows.items():
            self._rows[user_id] = state
            self._rows.move_to_end(user_id)
        while len(self._rows) > MOST_USERS:
            self._rows.popitem(last=False)
