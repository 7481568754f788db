"""Reader of the MovieLens data sets in their CSV form (ml-latest, ml-latest-small, ml-25m, ml-32m).

MovieLens holds ratings, not clicks and purchases. A rating of 4 stars or more is read as a
purchase, any other as a click: a simulation, and said to be one wherever its figures are shown.
Format: the `README.txt` of the data sets, https://grouplens.org/datasets/movielens/.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from stream_app.datasets.events import DatasetError, EventTable, TableBuilder
from stream_app.datasets.lines import Fields, csv_records
from stream_app.users.actions import PURCHASE, action_code

PURCHASE_RATING = 4.0
CLICK = action_code("click")
RATINGS_HEADER = ["userId", "movieId", "rating", "timestamp"]
MOVIES_HEADER = ["movieId", "title", "genres"]
NO_GENRES = "(no genres listed)"


def read_movielens(directory: Path) -> EventTable:
    """Read `ratings.csv` of a MovieLens directory as events in time order.

    Raises `DatasetError` naming the file, the line, and what to do.
    """
    into = TableBuilder(f"movielens:{directory.name}")
    add_movielens(directory, into)
    return into.table()


def read_movielens_titles(directory: Path) -> dict[str, str]:
    """Read `movies.csv`: movie id to title. Raises `DatasetError` as `read_movielens` does."""
    return {movie: title for movie, title, _ in _movies(directory)}


def read_movielens_genres(directory: Path) -> dict[str, list[str]]:
    """Read `movies.csv`: movie id to genres. Raises `DatasetError` as `read_movielens` does."""
    return {
        movie: [] if genres == NO_GENRES else genres.split("|")
        for movie, _, genres in _movies(directory)
    }


def _movies(directory: Path) -> Iterator[Fields]:
    path = directory / "movies.csv"
    for line, fields in _records(path, MOVIES_HEADER):
        if len(fields) != len(MOVIES_HEADER):
            raise DatasetError(f"{path}:{line}: {_wrong_count(fields, MOVIES_HEADER)}")
        yield fields


def add_movielens(directory: Path, into: TableBuilder) -> None:
    """Add the ratings of a directory to `into`; errors as of `read_movielens`."""
    path = directory / "ratings.csv"
    for line, fields in _records(path, RATINGS_HEADER):
        try:
            into.add(*_event(fields))
        except ValueError as error:
            into.reject(f"{path}:{line}", error)


def _event(fields: Fields) -> tuple[str, str, int, int]:
    if len(fields) != len(RATINGS_HEADER):
        raise ValueError(_wrong_count(fields, RATINGS_HEADER))
    user_id, movie_id, rating, timestamp = fields
    try:
        stars, seconds = float(rating), int(timestamp)
    except ValueError:
        stars, seconds = math.nan, 0
    if not (user_id and movie_id and 0 <= stars <= 5 and seconds > 0):
        raise ValueError(
            "expected userId,movieId,rating (0..5),timestamp (seconds), got "
            f"{user_id},{movie_id},{rating},{timestamp}"
        )
    return user_id, movie_id, seconds * 1000, PURCHASE if stars >= PURCHASE_RATING else CLICK


def _records(path: Path, header: list[str]) -> Iterator[tuple[int, Fields]]:
    if not path.is_file():
        raise DatasetError(
            f"{path}: no such file; give a directory of https://grouplens.org/datasets/movielens/ "
            "with ratings.csv and movies.csv in it"
        )
    records = csv_records(path)
    _, first = next(records, (1, []))
    if first != header:
        raise DatasetError(
            f"{path}:1: expected the header {','.join(header)}, got {','.join(first)}"
        )
    return records


def _wrong_count(fields: Fields, header: list[str]) -> str:
    return f"expected {len(header)} fields, got {len(fields)}: {','.join(fields)[:80]}"
