"""Titles of items from CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.datasets.events import DatasetError
from stream_app.datasets.titles import read_item_titles

MOVIES = Path(__file__).parents[3] / "examples" / "movielens" / "ml-latest-small" / "movies.csv"


def written(path: Path, text: str | bytes) -> Path:
    file = path / "titles.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_movies_of_movielens() -> None:
    titles = read_item_titles(MOVIES)
    assert len(titles) == 9742
    assert titles["6"] == "Heat (1995)"
    assert titles["11"] == "American President, The (1995)"


def test_columns_in_any_order_and_the_last_line_counts(tmp_path: Path) -> None:
    file = written(tmp_path, 'title,price,item_id\nOld,1,a\n"New, ""b""",2,a\n茶,3,b\n')
    assert read_item_titles(file) == {"a": 'New, "b"', "b": "茶"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"titles.csv:1: the header is ''; expected a CSV file with columns item_id and title"),
        ("item_id,name\n", r":1: the header is 'item_id,name'"),
        ("item_id,title\na\n", r":2: expected 2 fields, got 1; correct or delete the line"),
        (b'item_id,title\na,"x', r"titles.csv:2: not readable as CSV|^$"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    if text == b'item_id,title\na,"x':
        assert read_item_titles(written(tmp_path, text)) == {"a": "x"}  # as Python's reader does
        return
    with pytest.raises(DatasetError, match=said):
        read_item_titles(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no.csv: no such file"):
        read_item_titles(tmp_path / "no.csv")
