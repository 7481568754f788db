"""Reader of the MovieLens data sets in their CSV form (ml-latest, ml-latest-small, ml-25m, ml-32m).

MovieLens holds ratings, not clicks and purchases. A rating of 4 stars or more is read as a
purchase, any other as a click: a simulation, and said to be one wherever its figures are shown.
Format: the `README.txt` of the data sets, https://grouplens.org/datasets/movielens/.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from stream_app.datasets.events import DatasetError, EventTable, Row
from stream_app.users.actions import PURCHASE, action_code

PURCHASE_RATING = 4.0
CLICK = action_code("click")
RATINGS_HEADER = ["userId", "movieId", "rating", "timestamp"]
MOVIES_HEADER = ["movieId", "title", "genres"]


def read_movielens(directory: Path) -> EventTable:
    """Read `ratings.csv` of a MovieLens directory as events in time order.

    Raises `DatasetError` naming the file, the line, and what to do.
    """
    return EventTable.from_rows(_ratings(directory), f"movielens:{directory.name}")


def read_movielens_titles(directory: Path) -> dict[str, str]:
    """Read `movies.csv`: movie id to title. Raises `DatasetError` as `read_movielens` does."""
    path = directory / "movies.csv"
    return {fields[0]: fields[1] for _, fields in _lines(path, MOVIES_HEADER)}


def _ratings(directory: Path) -> Iterator[Row]:
    path = directory / "ratings.csv"
    for line, (user_id, movie_id, rating, timestamp) in _lines(path, RATINGS_HEADER):
        try:
            stars, seconds = float(rating), int(timestamp)
        except ValueError:
            stars, seconds = math.nan, 0
        if not (user_id and movie_id and 0 <= stars <= 5 and seconds > 0):
            raise DatasetError(
                f"{path}:{line}: expected userId,movieId,rating (0..5),timestamp (seconds), got "
                f"{user_id},{movie_id},{rating},{timestamp}; correct or delete the line, or "
                "download the data set again"
            )
        yield Row(
            user_id, movie_id, seconds * 1000, PURCHASE if stars >= PURCHASE_RATING else CLICK
        )


def _lines(path: Path, header: list[str]) -> Iterator[tuple[int, list[str]]]:
    if not path.is_file():
        raise DatasetError(
            f"{path}: no such file; give a directory of https://grouplens.org/datasets/movielens/ "
            "with ratings.csv and movies.csv in it"
        )
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        try:
            if (first := next(reader, [])) != header:
                raise DatasetError(
                    f"{path}:1: expected the header {','.join(header)}, got {','.join(first)}"
                )
            for fields in reader:
                if len(fields) != len(header):
                    raise DatasetError(
                        f"{path}:{reader.line_num}: expected {len(header)} fields, got "
                        f"{len(fields)}: {','.join(fields)[:80]}; correct or delete the line"
                    )
                yield reader.line_num, fields
        except (UnicodeDecodeError, csv.Error) as error:
            raise DatasetError(
                f"{path}:{reader.line_num + 1}: not readable as UTF-8 CSV ({error}); "
                "download the data set again"
            ) from error
