"""Reader of OTTO's data set: clicks, carts and orders of a shop, a session a line.

Format: https://github.com/otto-de/recsys-dataset. A session is a user. Times are Unix ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream_app.datasets.events import EventTable, TableBuilder
from stream_app.datasets.lines import json_records
from stream_app.users.actions import PURCHASE, action_code

ACTIONS = {
    "clicks": action_code("click"),
    "carts": action_code("add_to_cart"),
    "orders": PURCHASE,
}
SHAPE = 'expected {"session": 1, "events": [{"aid": 2, "ts": 1659304800025, "type": "clicks"}]}'


def read_otto(path: Path) -> EventTable:
    """Read a JSON lines file of sessions.

    Raises `DatasetError` naming the file, the line, and what to do.
    """
    into = TableBuilder(path.name)
    add_otto(path, into)
    return into.table()


def add_otto(path: Path, into: TableBuilder) -> None:
    """Add the events of a file to `into`; errors as of `read_otto`."""
    for line, fields in json_records(path, into):
        session, events = fields.get("session"), fields.get("events")
        if not isinstance(session, int | str) or not isinstance(events, list):
            into.reject(f"{path}:{line}", SHAPE)
            continue
        for number, event in enumerate(events, start=1):
            try:
                into.add(str(session), *_event(event))
            except ValueError as error:
                into.reject(f"{path}:{line}, event {number}", error)


def _event(event: Mapping[str, Any]) -> tuple[str, int, int]:
    try:
        item, at_ms, action = event["aid"], event["ts"], ACTIONS[event["type"]]
    except (TypeError, KeyError) as error:
        raise ValueError(f"{event!r} is no event; {SHAPE}") from error
    if type(at_ms) is not int or type(item) not in (int, str):
        raise ValueError(f"{event!r} is no event; {SHAPE}")
    return str(item), at_ms, action
