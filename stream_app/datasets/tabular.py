"""Reader of event files in a generic shape: CSV with a header, JSON lines, or Parquet.

Columns: `user_id`, `item_id`, and `timestamp_ms` or `timestamp` (Unix seconds, fractions allowed;
in Parquet also a timestamp type); optional `action` (a name of `stream_app.users.actions`, default
`click`). Others are ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stream_app.datasets.events import DatasetError, EventTable, TableBuilder
from stream_app.datasets.lines import csv_records, json_records
from stream_app.datasets.parquet import parquet_records
from stream_app.users.actions import action_code

COLUMNS = ("user_id", "item_id", "timestamp_ms", "timestamp", "action")
SHAPE = (
    "an event needs user_id, item_id, and timestamp_ms (Unix ms) or timestamp (Unix seconds); "
    "action is optional"
)
CLICK = "click"


def read_events(path: Path) -> EventTable:
    """Read a `.csv`, `.jsonl` or `.parquet` file of events in time order.

    Raises `DatasetError` naming the file, the line, and what to do.
    """
    into = TableBuilder(path.name)
    add_events(path, into)
    return into.table()


def add_events(path: Path, into: TableBuilder) -> None:
    """Add the events of a file to `into`; errors as of `read_events`."""
    adders: dict[str, Callable[[Path, TableBuilder], None]] = {
        ".csv": _add_csv,
        ".jsonl": _add_jsonl,
        ".ndjson": _add_jsonl,
        ".parquet": _add_parquet,
    }
    add = adders.get(path.suffix.lower())
    if add is None:
        raise DatasetError(f"{path}: expected a file named .csv, .jsonl or .parquet; {SHAPE}")
    add(path, into)


def _add_csv(path: Path, into: TableBuilder) -> None:
    records = csv_records(path)
    _, header = next(records, (1, []))
    places = [header.index(name) if name in header else None for name in COLUMNS]
    if None in places[:2] or places[2:4] == [None, None]:
        raise DatasetError(f"{path}:1: the header is {','.join(header)[:80]!r}; {SHAPE}")
    for line, fields in records:
        try:
            if len(fields) != len(header):
                raise ValueError(f"expected {len(header)} fields, got {len(fields)}")
            _add(into, *(None if at is None else fields[at] for at in places))
        except ValueError as error:
            into.reject(f"{path}:{line}", error)


def _add_jsonl(path: Path, into: TableBuilder) -> None:
    for line, fields in json_records(path, into):
        try:
            _add(into, *map(fields.get, COLUMNS))
        except ValueError as error:
            into.reject(f"{path}:{line}", f"{error}; {SHAPE}")


def _add_parquet(path: Path, into: TableBuilder) -> None:
    for row, fields in parquet_records(path, COLUMNS, SHAPE):
        try:
            _add(into, *fields)
        except ValueError as error:
            into.reject(f"{path}, row {row}", error)


def _add(
    into: TableBuilder, user: Any, item: Any, timestamp_ms: Any, timestamp: Any, action: Any
) -> None:
    """Add one event; the arguments are in the order of `COLUMNS`, None or "" for none."""
    if type(user) is not str:
        user = _identifier("user_id", user)
    if type(item) is not str:
        item = _identifier("item_id", item)
    if timestamp_ms is None or timestamp_ms == "":
        at_ms = _milliseconds("timestamp", timestamp, 1000)
    else:
        at_ms = _milliseconds("timestamp_ms", timestamp_ms, 1)
    into.add(user, item, at_ms, action_code(str(action or CLICK)))


def _identifier(name: str, value: Any) -> str:
    if value is None or isinstance(value, bool | float | list | dict):
        raise ValueError(f"{name} is {value!r}")
    return str(value)


def _milliseconds(name: str, value: Any, unit: int) -> int:
    try:
        if isinstance(value, bool):
            raise ValueError
        return round(float(value) * unit)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} is {value!r}") from error
