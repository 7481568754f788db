"""Texts of items from files, and what is said of files that hold none."""

from pathlib import Path

import pytest

from stream_app.datasets import DatasetError
from stream_app.datasets.texts import movie_text, read_item_texts

MOVIES = Path(__file__).parents[3] / "examples" / "movielens" / "ml-latest-small" / "movies.csv"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_movies_become_titles_and_genres() -> None:
    texts = read_item_texts(MOVIES)
    assert len(texts) == 9742
    assert texts["1"] == "Toy Story (1995). Adventure, Animation, Children, Comedy, Fantasy"


def test_a_movie_without_genres_is_its_title() -> None:
    assert movie_text("Alone (2020)", "(no genres listed)") == "Alone (2020)"
    assert movie_text("Alone (2020)", "") == "Alone (2020)"


def test_csv_and_jsonl_are_read(tmp_path: Path) -> None:
    expected = {"7": "耳机, noir", "b": ""}
    csv = write(tmp_path / "a.csv", 'price,text,item_id\n3,"耳机, noir",7\n,,b\n')
    jsonl = write(
        tmp_path / "a.jsonl", '{"item_id": 7, "text": "耳机, noir"}\n\n{"item_id": "b"}\n'
    )
    assert read_item_texts(csv) == read_item_texts(jsonl) == expected


def test_the_last_line_of_an_item_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "item_id,text\na,old\na,new\n")
    assert read_item_texts(path) == {"a": "new"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "x", "expected .csv with columns item_id and text"),
        ("a.csv", "id,text\na,b\n", r"a.csv:1: the header is 'id,text'; expected .csv"),
        ("a.csv", "item_id,text\na\n", "a.csv:2: expected 2 fields, got 1; correct or delete"),
        ("a.csv", "item_id,text\n,b\n", "a.csv:2: item_id is ''"),
        ("a.csv", b"item_id,text\n\xff,b\n", r"a.csv:2: item_id is '\\udcff'"),
        ("a.csv", "item_id,text\n" + "x" * 300 + ",b\n", "a.csv:2: item_id is 'xxx"),
        ("a.csv", "item_id,text\n", "a.csv: holds no items; is it the right file"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: not a JSON object"),
        ("a.jsonl", '{"item_id": "a"}\nx\n', "a.jsonl:2: not a JSON object"),
        ("a.jsonl", b'{"item_id": "\xff"}\n', "a.jsonl:1: not a JSON object"),
        ("a.jsonl", '{"item_id": 1.5}\n', "a.jsonl:1: item_id is 1.5"),
        ("a.jsonl", '{"item_id": true}\n', "a.jsonl:1: item_id is True"),
        ("a.jsonl", '{"item_id": "a", "text": 3}\n', "a.jsonl:1: text is 3"),
    ],
)
def test_damaged_files_are_named_with_the_line(tmp_path, name, content, message) -> None:
    with pytest.raises(DatasetError, match=message):
        read_item_texts(write(tmp_path / name, content))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=f"{name}: no such file or directory"):
        read_item_texts(tmp_path / name)


def test_text_that_is_not_utf_8_does_not_stop_the_reader(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"item_id,text\na,caf\xe9\n")
    assert read_item_texts(path) == {"a": "caf\udce9"}
