"""Recommenders from elsewhere get the questions and are judged like the others."""

import csv
from pathlib import Path

import msgspec
import numpy as np
import pytest
from event_tables import table_of

from stream_app.evaluation import exchange
from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.exchange import read_lists, write_lists, write_questions
from stream_app.evaluation.histories import Histories
from stream_app.evaluation.lists import Lists, without_seen
from stream_app.evaluation.protocols import leave_one_out, time_split

TABLE = table_of("u a", "v a", "u b", "v b", "u c", "u d", "v e", "v c", "u e", "u f")


def test_questions_hold_all_that_may_be_known(tmp_path: Path) -> None:
    write_questions(leave_one_out(TABLE), tmp_path / "new")
    with (tmp_path / "new" / "events.csv").open(newline="") as file:
        events = [(row["user_id"], row["item_id"], row["part"]) for row in csv.DictReader(file)]
    assert events[-2:] == [("u", "e", "validation"), ("u", "f", "later")]
    assert next(event for event in events if event[2] != "train") == ("v", "e", "validation")
    lines = (tmp_path / "new" / "questions.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line) for line in lines] == [
        {"user_id": "u", "known": 5},
        {"user_id": "v", "known": 3},
    ]


def test_lists_are_read_in_the_order_of_the_questions(tmp_path: Path) -> None:
    file = tmp_path / "lists.jsonl"
    file.write_text(
        '{"user_id": "v", "items": ["a", "nowhere", "c", "d"]}\n'  # v had a
        '{"user_id": "u", "known": 5, "items": ["f"]}\n'
    )
    split = leave_one_out(TABLE)
    ids = split.table.item_ids
    made = read_lists(file, split, 3)
    assert made.tolist() == [
        [ids.index("f"), -1, -1],
        [-1, ids.index("c"), ids.index("d")],
    ]


def test_lists_that_were_written_are_read_as_they_were(tmp_path: Path) -> None:
    split = time_split(TABLE, test_share=0.4)
    known = [set(split.table.items[row[row >= 0]]) for row in split.test.histories.window(10)]
    unseen = [[at for at in range(6) if at not in items][:2] for items in known]
    lists = np.array([[*row, -1, -1][:2] for row in unseen], np.int32)
    write_lists(lists, split, tmp_path / "new" / "ours.jsonl")
    assert (read_lists(tmp_path / "new" / "ours.jsonl", split, 2) == lists).all()
    assert (lists >= 0).any()
    (tmp_path / "file").touch()
    with pytest.raises(EvaluationError, match="cannot write lists to"):
        write_lists(lists, split, tmp_path / "file" / "ours.jsonl")


def test_a_user_asked_several_times_is_named_with_the_events_known(tmp_path: Path) -> None:
    file = tmp_path / "lists.jsonl"
    split = time_split(TABLE, test_share=0.4)
    file.write_text('{"user_id": "u", "known": 5, "items": ["f"]}\n')
    made = read_lists(file, split, 1)
    assert made.ravel().tolist().count(split.table.item_ids.index("f")) == 1
    file.write_text('{"user_id": "u", "items": ["f"]}\n')
    with pytest.raises(EvaluationError, match="user 'u' is not one of the questions"):
        read_lists(file, split, 1)


def test_a_list_of_any_length_costs_no_more_than_what_can_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists side by side are as wide as the longest: one line would decide what all need."""
    widths: list[int] = []

    def counted(lists: Lists, histories: Histories, k: int) -> Lists:
        widths.append(lists.shape[1])
        return without_seen(lists, histories, k)

    monkeypatch.setattr(exchange, "without_seen", counted)
    monkeypatch.setattr(exchange, "MAX_BLOCK", 1)
    file = tmp_path / "lists.jsonl"
    # `u` had a to e: after them come an item that is not in the data, and the wanted one.
    items = [*"abcde", "x", "f", *(f"x{at}" for at in range(1000))]
    file.write_bytes(msgspec.json.encode({"user_id": "u", "items": items}))
    split = leave_one_out(TABLE)
    made = read_lists(file, split, 2)
    assert made.tolist() == [[-1, split.table.item_ids.index("f")], [-1, -1]]
    assert widths == [7, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"user_id": "w", "items": []}', "lists.jsonl:1: user 'w' is not one of the questions"),
        ('{"user_id": "u", "known": 2}', "user 'u', 2 known events, is not one"),
        ('{"user_id": "u"}\n{"user_id": "u", "known": 5}', "lists.jsonl:2: .* has a second list"),
        ('{"user_id": "u", "items": ["a", "a"]}', "names an item twice"),
        ("u a b", "lists.jsonl:1: .*expected JSON lines like"),
        ('{"user_id": 3}', "Expected `str`"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "lists.jsonl").write_text(text + "\n")
    with pytest.raises(EvaluationError, match=message):
        read_lists(tmp_path / "lists.jsonl", leave_one_out(TABLE), 3)


def test_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"nothing\.jsonl: cannot be read"):
        read_lists(tmp_path / "nothing.jsonl", leave_one_out(TABLE), 3)
    (tmp_path / "file").touch()
    with pytest.raises(EvaluationError, match="cannot write the questions to"):
        write_questions(leave_one_out(TABLE), tmp_path / "file")
