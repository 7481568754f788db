"""CSV and JSONL files of events: two spellings of the same table, and errors with a line."""

from pathlib import Path

import pytest

from schemas.messages import Click, Purchase
from stream_app.datasets import DatasetError, read_events

EVENTS = [
    Purchase(user_id="ann", item_id="7", timestamp_ms=1_500),
    Click(user_id="bob", item_id="x-1", timestamp_ms=2_000),
    Click(user_id="ann", item_id="x-1", timestamp_ms=3_000, action="like"),
]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_csv(tmp_path: Path) -> None:
    path = write(
        tmp_path / "events.csv",
        "timestamp_ms,item_id,user_id,action,colour\n"
        "3000,x-1,ann,like,red\n1500,7,ann,purchase,\n2000,x-1,bob,,\n",
    )
    assert [*read_events(path).messages()] == EVENTS


def test_jsonl_with_seconds_and_numbers_as_ids(tmp_path: Path) -> None:
    path = write(
        tmp_path / "events.jsonl",
        '{"user_id": "ann", "item_id": "x-1", "timestamp": 3, "action": "like"}\n\n'
        '{"user_id": "ann", "item_id": 7, "timestamp": 1.5, "action": "purchase"}\n'
        '{"user_id": "bob", "item_id": "x-1", "timestamp": 2}\n',
    )
    assert [*read_events(path).messages()] == EVENTS


def test_an_unknown_action_counts_as_other(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user_id,item_id,timestamp,action\nann,1,5,teleport\n")
    assert [event.action for event in read_events(path).messages()] == ["other"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("e.csv", "user_id,item_id,timestamp\nann,1,5\nann,,6\n", r"e.csv:3: item id is empty"),
        ("e.csv", "user_id,item_id,timestamp\nann,1,soon\n", r"e.csv:2: timestamp is 'soon'"),
        ("e.csv", "user_id,item_id,timestamp\nann,1,-1\n", r"e.csv:2: the time is -1000 ms"),
        ("e.csv", "user,item,time\nann,1,5\n", r"e.csv:1: the header is 'user,item,time'; an"),
        ("e.csv", "user_id,item_id,timestamp\nann,1\n", r"e.csv:2: expected 3 fields, got 2"),
        ("e.jsonl", '{"user_id": "a", "item_id": "b", "timestamp": 1}\n{"user', r"e.jsonl:2: not"),
        ("e.jsonl", "[1, 2]\n", r"e.jsonl:1: not a JSON object"),
        ("e.jsonl", '{"user_id": true, "item_id": "b", "timestamp": 1}', r"user_id is True"),
        ("e.jsonl", '{"user_id": "a", "item_id": "%s", "timestamp": 1}' % ("x" * 300), "256 bytes"),
        ("e.csv", "user_id,item_id,timestamp\n", r"holds no events"),
        ("e.parquet", "", r"e.parquet: not readable as Parquet"),
        ("e.xlsx", "", r"expected a file named .csv, .jsonl or .parquet"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_events(write(tmp_path / name, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        read_events(tmp_path / "events.csv")
