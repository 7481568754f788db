"""Every format through the one door: told apart by their beginning, refused with file and line."""

import json
from pathlib import Path

import pytest

from stream_app.datasets import DatasetError, EventTable, TableBuilder, open_dataset
from stream_app.datasets.formats import detect
from tests.shared_data import shared_data

YOOCHOOSE = "SessionId\tItemId\tTime\n3\t214\t1396437466.94\n3\t215\t1396437468.5\n6\t214\t10\n"
OTTO = {
    "session": 7,
    "events": [
        {"aid": 1, "ts": 1_659_304_800_025, "type": "clicks"},
        {"aid": 2, "ts": 1_659_304_904_511, "type": "carts"},
        {"aid": 2, "ts": 1_659_304_904_512, "type": "orders"},
    ],
}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def rows(table: EventTable) -> list[tuple[str, str, int, str]]:
    return [
        (one.user_id, one.item_id, one.timestamp_ms, getattr(one, "action", "purchase"))
        for one in table.messages()
    ]


def test_yoochoose_as_prepared(tmp_path: Path) -> None:
    table = open_dataset(write(tmp_path / "part.txt", YOOCHOOSE))
    assert rows(table) == [
        ("6", "214", 10_000, "click"),
        ("3", "214", 1_396_437_466_940, "click"),
        ("3", "215", 1_396_437_468_500, "click"),
    ]


def test_yoochoose_as_published(tmp_path: Path) -> None:
    write(tmp_path / "yoochoose-clicks.dat", "1,2014-04-07T10:51:09.277Z,214,0\n")
    write(tmp_path / "yoochoose-buys.dat", "1,2014-04-07T10:52:00.000Z,214,1046,1\n")
    assert rows(open_dataset(tmp_path)) == [
        ("1", "214", 1_396_867_869_277, "click"),
        ("1", "214", 1_396_867_920_000, "purchase"),
    ]


def test_otto(tmp_path: Path) -> None:
    table = open_dataset(write(tmp_path / "train.jsonl", json.dumps(OTTO) + "\n"))
    assert rows(table) == [
        ("7", "1", 1_659_304_800_025, "click"),
        ("7", "2", 1_659_304_904_511, "add_to_cart"),
        ("7", "2", 1_659_304_904_512, "purchase"),
    ]


def test_sequences_keep_their_order_and_say_that_they_have_no_times(tmp_path: Path) -> None:
    table = open_dataset(write(tmp_path / "ml.txt", "1 9\n1 3\n1 5\n2 3\n2 9\n"))
    assert not table.timed
    for user, items in (("1", ["9", "3", "5"]), ("2", ["3", "9"])):
        assert [row[1] for row in rows(table) if row[0] == user] == items


@pytest.mark.parametrize(
    ("name", "text", "format"),
    [
        ("a.csv", "time,user_id,item_id,timestamp\n", "events"),
        ("a.jsonl", '{"user_id": "a"}\n', "events"),
        ("a.jsonl", '{"session": 1, "events": []}\n', "otto"),
        ("a.parquet", "", "events"),
        ("a.txt", "1 2\n", "sequences"),
        ("a.tsv", "SessionId\tItemId\tTime\n", "yoochoose"),
        ("yoochoose-buys.dat", "1,2014-04-07T10:52:00.000Z,214,1046,1\n", "yoochoose"),
    ],
)
def test_a_format_is_known_by_its_beginning(
    tmp_path: Path, name: str, text: str, format: str
) -> None:
    assert detect(write(tmp_path / name, text)) == format


@pytest.mark.parametrize(
    ("name", "text", "format", "message"),
    [
        ("y.txt", YOOCHOOSE + "3\t214\tsoon\n", "auto", r"y.txt:5: Time is 'soon', expected Unix"),
        ("y.txt", YOOCHOOSE + "3\t214\n", "auto", r"y.txt:5: expected SessionId, ItemId, Time"),
        ("y.dat", "1,2014-04-07,214\n", "yoochoose", r"y.dat:1: expected session,time,item"),
        ("y.dat", "1,2014-04-07,2,0\n", "yoochoose", r"y.dat:1: the time '2014-04-07' has no zone"),
        ("y.dat", "1,yesterday,2,0\n", "yoochoose", r"y.dat:1: Invalid isoformat string"),
        ("o.jsonl", '{"session": 1}\n', "otto", r"o.jsonl:1: expected {\"session\""),
        ("o.jsonl", '{"session": 1, "events": [{"aid": 1}]}', "otto", r"o.jsonl:1, event 1: "),
        ("o.jsonl", json.dumps(OTTO)[:-1], "auto", r"o.jsonl:1: not a JSON object"),
        ("s.txt", "1 2\n1 2 3\n", "auto", r"s.txt:2: expected `user item`, got '1 2 3'"),
        ("x.csv", "who,what\n1,2\n", "auto", r"x.csv:1: no known format \('who,what'\)"),
        ("x.csv", "", "auto", r"x.csv:1: no known format"),
        ("x.csv", "", "arff", r"no format 'arff'; there are auto, events, movielens, otto"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, text: str, format: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(write(tmp_path / name, text), format)


@pytest.mark.parametrize("format", ["events", "movielens", "otto", "sequences", "yoochoose"])
def test_a_missing_file_is_named(tmp_path: Path, format: str) -> None:
    with pytest.raises(DatasetError, match=r"missing\.csv.*: no such file"):
        open_dataset(tmp_path / "missing.csv", format)


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="a directory of MovieLens or YooChoose was expected"):
        open_dataset(tmp_path)
    with pytest.raises(DatasetError, match=r"holds neither yoochoose-clicks\.dat nor"):
        open_dataset(tmp_path, "yoochoose")


def test_bad_records_up_to_a_limit_are_counted_with_their_places(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user_id,item_id,timestamp\na,1,5\na,,6\na,2,x\na,3,7\n")
    seen: list[TableBuilder] = []
    table = open_dataset(path, max_bad=2, on_rejected=seen.append)
    assert [row[1] for row in rows(table)] == ["1", "3"]
    assert seen[0].rejected == 2
    assert seen[0].reasons == [
        f"{path}:3: item id is empty",
        f"{path}:4: timestamp is 'x'",
    ]
    with pytest.raises(DatasetError, match=r"e.csv:4: timestamp is 'x' \(and 1 before it\)"):
        open_dataset(path, max_bad=1)


def test_erased_users_leave_nothing_in_the_table(tmp_path: Path) -> None:
    path = write(tmp_path / "s.txt", "ann 1\nann 2\nbob 3\n")
    seen: list[TableBuilder] = []
    table = open_dataset(path, erased={"ann"}, on_rejected=seen.append)
    assert (table.user_ids, table.item_ids, seen[0].left_out) == (["bob"], ["3"], 2)


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_app.datasets.events.PROGRESS", 2)
    told: list[int] = []
    open_dataset(write(tmp_path / "s.txt", "1 1\n1 2\n1 3\n1 4\n1 5\n"), on_progress=told.append)
    assert told == [2, 4]


@pytest.mark.parametrize(
    ("name", "events", "users", "items"),
    [
        ("ml-1m/ml-1m.txt", 999_611, 6_040, 3_416),
        ("ml-latest-small", 100_836, 610, 9_724),
        ("otto/train_sample.jsonl", 862, 20, 510),
        ("yoochoose/yoochoose-clicks-100k_train_full.txt", 70_278, 17_794, 2_933),
    ],
)
def test_the_data_sets_that_figures_are_reported_on(
    name: str, events: int, users: int, items: int
) -> None:
    table = open_dataset(shared_data(name))
    assert (len(table), len(table.user_ids), len(table.item_ids)) == (events, users, items)


def test_parts_of_a_table_by_time_and_by_users(tmp_path: Path) -> None:
    table = open_dataset(write(tmp_path / "s.txt", "ann 1\nann 2\nann 3\nbob 4\ncid 5\ncid 6\n"))
    minute = 60_000
    assert len(table.since(2 * minute)) == 3
    assert len(table.since(2 * minute)) + len(table.before(2 * minute)) == len(table)
    late = table.since(3 * minute)
    assert [row[1] for row in rows(table.of_users_in(late))] == ["1", "2", "3"]
