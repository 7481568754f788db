"""Reader of event files in a generic shape: CSV with a header, or JSON lines.

Columns: `user_id`, `item_id`, and `timestamp_ms` or `timestamp` (Unix seconds, fractions allowed);
optional `action` (a name of `stream_app.users.actions`, default `click`). Others are ignored.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from schemas.messages import MAX_ID_BYTES
from stream_app.datasets.events import DatasetError, EventTable, Row
from stream_app.users.actions import action_code

MAX_TIMESTAMP_MS = 253_402_300_799_999  # until the year 9999, as on the wire
SHAPE = (
    "an event needs user_id, item_id, and timestamp_ms (Unix ms) or timestamp (Unix seconds); "
    "action is optional"
)


def read_events(path: Path) -> EventTable:
    """Read a `.csv` or `.jsonl` file of events in time order.

    Raises `DatasetError` naming the file, the line, and what to do.
    """
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".ndjson": _jsonl_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(f"{path}: expected a file named .csv or .jsonl; {SHAPE}")
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    rows = (_row(path, line, fields) for line, fields in reader(path))
    return EventTable.from_rows(rows, path.name)


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        try:
            for fields in reader:
                yield reader.line_num, fields
        except (UnicodeDecodeError, csv.Error) as error:
            raise DatasetError(
                f"{path}:{reader.line_num + 1}: not readable as UTF-8 CSV ({error})"
            ) from error


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open("rb") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                fields = msgspec.json.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise DatasetError(
                    f"{path}:{line}: not a JSON object ({error}); correct or delete the line"
                ) from error
            if not isinstance(fields, dict):
                raise DatasetError(f"{path}:{line}: expected a JSON object; {SHAPE}")
            yield line, fields


def _row(path: Path, line: int, fields: Mapping[str, Any]) -> Row:
    try:
        user_id, item_id = _identifier(fields, "user_id"), _identifier(fields, "item_id")
        timestamp_ms = _timestamp_ms(fields)
    except ValueError as error:
        raise DatasetError(
            f"{path}:{line}: {error}; {SHAPE}. Correct or delete the line"
        ) from error
    return Row(user_id, item_id, timestamp_ms, action_code(str(fields.get("action") or "click")))


def _identifier(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None or value == "" or isinstance(value, bool | float | list | dict):
        raise ValueError(f"{name} is {value!r}")
    text = str(value)
    if len(text.encode()) > MAX_ID_BYTES:
        raise ValueError(f"{name} is longer than {MAX_ID_BYTES} bytes")
    return text


def _timestamp_ms(fields: Mapping[str, Any]) -> int:
    name, unit = ("timestamp_ms", 1) if fields.get("timestamp_ms") else ("timestamp", 1000)
    value = fields.get(name)
    try:
        number = float(value) * unit if value is not None else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= MAX_TIMESTAMP_MS:
        raise ValueError(f"{name} is {value!r}")
    return round(number)
