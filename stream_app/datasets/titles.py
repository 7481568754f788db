"""Reader of what items are called: `movies.csv` of MovieLens, or a CSV file with ids and titles."""

from __future__ import annotations

from pathlib import Path

from stream_app.datasets.events import DatasetError
from stream_app.datasets.lines import csv_records
from stream_app.datasets.movielens import MOVIES_HEADER

COLUMNS = ("item_id", "title")
SHAPE = "expected a CSV file with columns item_id and title, or movies.csv of MovieLens"


def read_item_titles(path: Path) -> dict[str, str]:
    """Read a title per item id; other columns are ignored, and the last line of an item counts.

    Raises `DatasetError` naming the file, the line, and what to do.
    """
    records = csv_records(path)
    _, header = next(records, (1, []))
    wanted = MOVIES_HEADER[:2] if header == MOVIES_HEADER else COLUMNS
    if not set(wanted) <= set(header):
        raise DatasetError(f"{path}:1: the header is {','.join(header)[:80]!r}; {SHAPE}")
    item_at, title_at = (header.index(name) for name in wanted)
    titles = {}
    for line, fields in records:
        if len(fields) != len(header):
            raise DatasetError(
                f"{path}:{line}: expected {len(header)} fields, got {len(fields)}; correct or "
                "delete the line"
            )
        titles[fields[item_at]] = fields[title_at]
    return titles
