"""The table of user rows: encoded states in memory, made again from the changelog topic.

Faust assigns the changelog partitions with the source partitions and replays them at an assignment.
Writing is ours: the caller publishes the changelog record and waits for the broker before it
acknowledges anything, which Faust's own buffered path does not do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import faust

log = logging.getLogger(__name__)

Offsets = Callable[[bytes], Mapping[str, int]]


class UserTable(faust.Table):
    """Rows by user id, both as bytes. Of two rows the one that has applied more stays."""

    def __init__(self, *args: Any, offsets: Offsets, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offsets = offsets

    def row(self, user_id: bytes) -> bytes | None:
        """The encoded state of a user of an owned partition, or None."""
        row: bytes | None = self.data.get(user_id)
        return row

    def put(self, user_id: bytes, row: bytes) -> None:
        """Keep a row in memory; publishing it is the caller's next step."""
        self.data[user_id] = row

    def apply_changelog_batch(self, batch: Any) -> None:
        """Replay changelog records, except those that are worse than what is already known.

        Worse is a row that has applied less, written late by an owner that had lost its partition,
        and one that cannot be read where another can: a single damaged row must not stop recovery.
        """
        rows: dict[bytes, bytes | None] = {}
        kept = []
        refused = 0
        for event in batch:
            key, value = event.message.key, event.message.value
            current = rows[key] if key in rows else self.data.get(key)
            if value and current and self._is_worse(value, current):
                refused += 1
                continue
            rows[key] = value
            kept.append(event)
        if refused:
            log.warning("recovery refused %d rows that were written late or damaged", refused)
        super().apply_changelog_batch(kept)

    def _is_worse(self, row: bytes, than: bytes) -> bool:
        known = self._offsets_or_none(than)
        if known is None:
            return False
        offsets = self._offsets_or_none(row)
        return offsets is None or is_older(offsets, known)

    def _offsets_or_none(self, row: bytes) -> Mapping[str, int] | None:
        try:
            return self._offsets(row)
        except ValueError:
            return None


def is_older(offsets: Mapping[str, int], known: Mapping[str, int]) -> bool:
    """Whether a row with applied `offsets` lacks an event that one with `known` offsets has."""
    return any(offsets.get(source, -1) < offset for source, offset in known.items())


def changelog_topic(app_id: str) -> str:
    """Name of the topic that holds the user rows."""
    return f"{app_id}-users-changelog"


def leader_topic(app_id: str) -> str:
    """Name of the topic that Faust needs to elect the leader of its group."""
    return f"{app_id}-__assignor-__leader"


def user_table(app: faust.App, partitions: int, offsets: Offsets) -> UserTable:
    """Create the table of user rows and register it with the app."""
    table = UserTable(
        app,
        name="users",
        offsets=offsets,
        default=bytes,
        partitions=partitions,
        key_type=bytes,
        value_type=bytes,
        recovery_buffer_size=1000,  # changelog records applied at once
    )
    app.tables.add(table)
    return table
