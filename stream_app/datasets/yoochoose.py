"""Reader of YooChoose, the data of the RecSys Challenge 2015: clicks and purchases of a shop.

Two forms. As published (https://s3-eu-west-1.amazonaws.com/yc-rdata/dataset-README.txt): files
without a header, `yoochoose-clicks.dat` (session, ISO time, item, category) and
`yoochoose-buys.dat` (session, ISO time, item, price, quantity). As prepared by GRU4Rec and its
successors: a table with the header `SessionId`, `ItemId`, `Time` (Unix seconds), tabs between.
A session is a user: the data knows no others.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from stream_app.datasets.events import DatasetError, EventTable, TableBuilder
from stream_app.datasets.lines import Fields, csv_records
from stream_app.users.actions import PURCHASE, action_code

HEADER = ["SessionId", "ItemId", "Time"]
CLICKS, BUYS = "yoochoose-clicks.dat", "yoochoose-buys.dat"
CLICK = action_code("click")
ACTIONS_BY_FIELDS = {4: CLICK, 5: PURCHASE}


def read_yoochoose(path: Path) -> EventTable:
    """Read a file of either form, or a directory with the published ones.

    Raises `DatasetError` naming the file, the line, and what to do.
    """
    into = TableBuilder(path.name)
    add_yoochoose(path, into)
    return into.table()


def add_yoochoose(path: Path, into: TableBuilder) -> None:
    """Add the events of a file or directory to `into`; errors as of `read_yoochoose`."""
    files = [path]
    if path.is_dir():
        files = [path / name for name in (CLICKS, BUYS) if (path / name).is_file()]
        if not files:
            raise DatasetError(f"{path}: holds neither {CLICKS} nor {BUYS}")
    for file in files:
        if is_prepared(file):
            _add(file, into, "\t")
        else:
            _add(file, into, ",")


def is_prepared(path: Path) -> bool:
    """Whether a file begins with the header of the prepared form."""
    return next(csv_records(path, "\t"), (1, []))[1][:3] == HEADER


def _add(path: Path, into: TableBuilder, delimiter: str) -> None:
    records = csv_records(path, delimiter)
    event = _published
    if delimiter == "\t":
        next(records)
        event = _prepared
    for line, fields in records:
        try:
            into.add(*event(fields))
        except ValueError as error:
            into.reject(f"{path}:{line}", error)


def _prepared(fields: Fields) -> tuple[str, str, int, int]:
    if len(fields) < len(HEADER):
        raise ValueError(f"expected {', '.join(HEADER)}, got {fields}")
    return fields[0], fields[1], _milliseconds(fields[2]), CLICK


def _milliseconds(seconds: str) -> int:
    try:
        return round(float(seconds) * 1000)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"Time is {seconds!r}, expected Unix seconds") from error


def _published(fields: Fields) -> tuple[str, str, int, int]:
    action = ACTIONS_BY_FIELDS.get(len(fields))
    if action is None:
        raise ValueError(
            "expected session,time,item,category (a click) or session,time,item,price,quantity "
            f"(a purchase), got {','.join(fields)[:80]!r}"
        )
    at = datetime.fromisoformat(fields[1])
    if at.tzinfo is None:
        raise ValueError(f"the time {fields[1]!r} has no zone; expected 2014-04-07T10:51:09.277Z")
    return fields[0], fields[2], round(at.timestamp() * 1000), action
