"""Reader of sequences without times: a line `user item` for every event, oldest first.

This is the form in which SASRec and most work since publish ML-1M, Beauty and others. The files
say what came after what within a user and nothing else, so the reader makes the times up: the n-th
event of every user is at n minutes. Protocols that need times must not be used on such a table
(`EventTable.timed` is False); a split by time cuts users at the same number of events.
"""

from __future__ import annotations

from pathlib import Path

from stream_app.datasets.events import EventTable, TableBuilder
from stream_app.datasets.lines import open_text
from stream_app.users.actions import action_code

STEP_MS = 60_000
CLICK = action_code("click")


def read_sequences(path: Path) -> EventTable:
    """Read a file with a line `user item` for every event, in order within each user.

    Raises `DatasetError` naming the file, the line, and what to do.
    """
    into = TableBuilder(path.name)
    add_sequences(path, into)
    return into.table()


def add_sequences(path: Path, into: TableBuilder) -> None:
    """Add the events of a file to `into`; errors as of `read_sequences`."""
    into.timed = False
    counts: dict[str, int] = {}
    with open_text(path) as file:
        for line, text in enumerate(file, start=1):
            if not (fields := text.split()):
                continue
            try:
                if len(fields) != 2:
                    raise ValueError(f"expected `user item`, got {text.strip()[:80]!r}")
                user, item = fields
                counts[user] = count = counts.get(user, 0) + 1
                into.add(user, item, count * STEP_MS, CLICK)
            except ValueError as error:
                into.reject(f"{path}:{line}", error)
