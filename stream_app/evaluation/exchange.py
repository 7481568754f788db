"""Files by which recommenders from elsewhere take part: questions go out, lists come back.

`write_questions` writes `events.csv` and `questions.jsonl`; `read_lists` reads JSON lines
`{"user_id": "u1", "known": 37, "items": ["i9", "i2"]}`, best item first, and `write_lists` writes
them, so that a method that took long to train can be compared again without. docs/evaluation.md has
the formats.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.histories import NOTHING
from stream_app.evaluation.lists import MAX_BLOCK, Lists, without_seen
from stream_app.evaluation.protocols import Split

EVENTS_FILE = "events.csv"
QUESTIONS_FILE = "questions.jsonl"
PARTS = ("train", "validation", "later")


class ListLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One list of a file; `known` may be left out where its user is asked once."""

    user_id: str
    items: list[str] = []
    known: int | None = None


def write_questions(split: Split, directory: Path) -> None:
    """Write what a recommender from elsewhere needs to answer the questions of `split`.

    `events.csv` holds all events in order: `train` and `validation` may be learned from; `later`
    ones are there to be part of histories. `questions.jsonl` has a line for each question: a user,
    and how many of that user's events are known. Raises `EvaluationError` when it cannot write.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / EVENTS_FILE).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["user_id", "item_id", "timestamp_ms", "part"])
            writer.writerows(_events(split))
        histories = split.test.histories
        with (directory / QUESTIONS_FILE).open("wb") as lines:
            for user, known in zip(histories.users, histories.lengths, strict=True):
                question = {"user_id": split.table.user_ids[user], "known": int(known)}
                lines.write(msgspec.json.encode(question) + b"\n")
    except OSError as error:
        raise EvaluationError(f"cannot write the questions to {directory}: {error}") from error


def _events(split: Split) -> Iterator[tuple[str, str, int, str]]:
    table = split.table
    part = split.parts
    for at, (user, item, time) in enumerate(
        zip(table.users.tolist(), table.items.tolist(), table.timestamps_ms.tolist(), strict=True)
    ):
        yield table.user_ids[user], table.item_ids[item], time, PARTS[part[at]]


def write_lists(lists: Lists, split: Split, path: Path) -> None:
    """Write `lists`, int32 `[C, k]`, as `read_lists` reads them.

    Raises `EvaluationError` when it cannot write.
    """
    histories, user_ids = split.test.histories, split.table.user_ids
    item_ids = split.table.item_ids
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for user, known, row in zip(histories.users, histories.lengths, lists, strict=True):
                items = [item_ids[item] for item in row[row != NOTHING]]
                line = ListLine(user_ids[user], items, int(known))
                file.write(msgspec.json.encode(line) + b"\n")
    except OSError as error:
        raise EvaluationError(f"cannot write lists to {path}: {error}") from error


def read_lists(path: Path, split: Split, k: int) -> Lists:
    """The lists of `path` in the order of the questions of `split`: int32 `[C, k]`.

    An item that is not in the data takes its place and is never wanted; without repeats, items of
    the history are taken out. A question without a line has an empty list. Raises
    `EvaluationError` naming file and line for anything else.
    """
    places = _places(split)
    numbers = {item: number for number, item in enumerate(split.table.item_ids)}
    found: dict[int, list[int]] = {}
    line = 0
    try:
        with path.open("rb") as file:
            for text in file:
                line += 1
                one = msgspec.json.decode(text, type=ListLine)
                place = _place(one, places, found)
                found[place] = [numbers.get(item, NOTHING) for item in one.items]
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read: {error}") from error
    except ValueError as error:  # those of msgspec are such
        raise EvaluationError(
            f"{path}:{line}: {error}; expected JSON lines like "
            '{"user_id": "u1", "known": 37, "items": ["i9", "i2"]}'
        ) from error
    return _arranged(found, split, k)


def _places(split: Split) -> dict[tuple[str, int | None], int]:
    """The question of each user and number of known events; of users asked once, of None too."""
    histories, ids = split.test.histories, split.table.user_ids
    times = np.bincount(histories.users, minlength=len(ids))
    places: dict[tuple[str, int | None], int] = {}
    for place, (user, known) in enumerate(
        zip(histories.users.tolist(), histories.lengths.tolist(), strict=True)
    ):
        places[ids[user], known] = place
        if times[user] == 1:
            places[ids[user], None] = place
    return places


def _place(
    one: ListLine, places: dict[tuple[str, int | None], int], found: dict[int, list[int]]
) -> int:
    place = places.get((one.user_id, one.known))
    what = f"user {one.user_id!r}" + ("" if one.known is None else f", {one.known} known events,")
    if place is None:
        raise ValueError(f"{what} is not one of the questions of this data and protocol")
    if place in found:
        raise ValueError(f"{what} has a second list")
    if len(set(one.items)) < len(one.items):
        raise ValueError(f"the list of {what} names an item twice")
    return place


def _arranged(found: dict[int, list[int]], split: Split, k: int) -> Lists:
    """The lists side by side, a block of questions at a time: one may be as long as its history."""
    kept = np.full((len(split.test), k), NOTHING, np.int32)
    for cut, part in split.test.histories.blocks(MAX_BLOCK):
        # No more than the history holds can be taken out of a list: what is further is not shown.
        most = k + (0 if split.repeats else int(part.lengths.max()))
        lists = [found.get(place, [])[:most] for place in range(cut.start, cut.stop)]
        wide = np.full((len(part), max(k, *map(len, lists))), NOTHING, np.int32)
        for row, items in enumerate(lists):
            wide[row, : len(items)] = items
        kept[cut] = wide[:, :k] if split.repeats else without_seen(wide, part, k)
    return kept
