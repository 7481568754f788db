"""MovieLens files: what is read from good ones, and what is said about bad ones."""

from pathlib import Path

import pytest

from schemas.messages import Click, Purchase
from stream_app.datasets import DatasetError, read_movielens, read_movielens_titles

HEADER = "userId,movieId,rating,timestamp\n"


def ratings(directory: Path, *lines: str, header: str = HEADER) -> Path:
    (directory / "ratings.csv").write_text(header + "".join(line + "\n" for line in lines))
    return directory


def test_four_stars_are_a_purchase_and_less_is_a_click(tmp_path: Path) -> None:
    table = read_movielens(ratings(tmp_path, "1,10,4.0,100", "1,11,3.5,101", "2,10,5.0,102"))
    assert [*table.messages()] == [
        Purchase(user_id="1", item_id="10", timestamp_ms=100_000),
        Click(user_id="1", item_id="11", timestamp_ms=101_000),
        Purchase(user_id="2", item_id="10", timestamp_ms=102_000),
    ]


def test_events_come_in_time_order_and_ties_in_file_order(tmp_path: Path) -> None:
    table = read_movielens(ratings(tmp_path, "1,10,4,300", "2,12,4,100", "2,11,4,100", "3,9,4,200"))
    assert [event.item_id for event in table.messages()] == ["12", "11", "9", "10"]


def test_a_split_is_by_time_and_keeps_the_numbering(tmp_path: Path) -> None:
    table = read_movielens(ratings(tmp_path, *(f"{n},{n},4,{100 - n}" for n in range(1, 11))))
    first, rest = table.split(0.8)
    assert (len(first), len(rest)) == (8, 2)
    assert first.timestamps_ms[-1] < rest.timestamps_ms[0]
    assert first.item_ids is rest.item_ids
    assert len(table.before(int(rest.timestamps_ms[0]))) == 8


def test_titles(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n1,"City, The (1995)",Drama\n')
    assert read_movielens_titles(tmp_path) == {"1": "City, The (1995)"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,10,4.0", "ratings.csv:3: expected 4 fields, got 3"),
        ("1,10,4.0,12x", "ratings.csv:3: expected userId,movieId,rating"),
        ("1,10,six,100", "ratings.csv:3: expected userId"),
        ("1,10,nan,100", "ratings.csv:3: expected userId"),
        ("1,10,9,100", "ratings.csv:3: expected userId"),
        (",10,4,100", "ratings.csv:3: expected userId"),
        ("1,10,4,-5", "ratings.csv:3: expected userId"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_movielens(ratings(tmp_path, "1,9,4.0,99", line))


def test_a_missing_file_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"ratings.csv: no such file; give a directory of"):
        read_movielens(tmp_path)


def test_another_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"ratings.csv:1: expected the header"):
        read_movielens(ratings(tmp_path, "1,2,3", header="user,item,time\n"))


def test_a_file_without_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no events"):
        read_movielens(ratings(tmp_path))


def test_bytes_that_are_not_text_are_refused_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_bytes(HEADER.encode() + b"1,1,4,100\n1,\xff\xfe,4,101\n")
    with pytest.raises(DatasetError, match=r"ratings.csv:3: item id is not readable as UTF-8"):
        read_movielens(tmp_path)
