"""Recovery keeps, of the rows of one user, the one that has applied more and can be read."""

from types import SimpleNamespace

import pytest

from stream_app.settings import Settings
from stream_app.streaming.app import create_app
from stream_app.streaming.table import UserTable, is_older, user_table
from stream_app.users.codec import decode_state, encode_state
from stream_app.users.state import UserState

OLD = encode_state(UserState(offsets={"clicks/0": 4}, events=4))
NEW = encode_state(UserState(offsets={"clicks/0": 5}, events=5))
DAMAGED = b"no row at all"


@pytest.mark.parametrize(
    ("offsets", "known", "older"),
    [
        ({"clicks/0": 5}, {"clicks/0": 5}, False),
        ({"clicks/0": 6}, {"clicks/0": 5}, False),
        ({"clicks/0": 4}, {"clicks/0": 5}, True),
        ({"clicks/0": 9}, {"clicks/0": 5, "purchases/0": 1}, True),
        ({"clicks/0": 5, "purchases/0": 1}, {"clicks/0": 5}, False),
        ({"clicks/0": 9, "purchases/0": 1}, {"clicks/0": 5, "purchases/0": 2}, True),
        ({}, {}, False),
    ],
)
def test_a_row_that_lacks_an_event_is_older(offsets, known, older) -> None:
    assert is_older(offsets, known) is older


@pytest.fixture(scope="module")
def app():
    return create_app(Settings(), 4)


@pytest.fixture
def table(app) -> UserTable:
    app.tables.clear()
    return user_table(app, 4, lambda row: decode_state(row).offsets)


def replay(table: UserTable, *batches: list[bytes | None]) -> bytes | None:
    """The row that is left after changelog batches of one user."""
    offset = 0
    for batch in batches:
        events = []
        for value in batch:
            message = SimpleNamespace(key=b"ann", value=value, offset=offset, tp=None, partition=0)
            events.append(SimpleNamespace(key=b"ann", value=value, message=message))
            offset += 1
        table.apply_changelog_batch(events)
    return table.row(b"ann")


@pytest.mark.parametrize(
    ("batches", "left"),
    [
        ([[OLD, NEW]], NEW),
        ([[NEW, OLD]], NEW),
        ([[NEW], [OLD]], NEW),
        ([[OLD], [NEW]], NEW),
        ([[DAMAGED, OLD]], OLD),
        ([[OLD, DAMAGED]], OLD),
        ([[OLD], [DAMAGED], [NEW]], NEW),
        ([[DAMAGED]], DAMAGED),
        ([[NEW, None]], None),
        ([[NEW, None, OLD]], OLD),
    ],
)
def test_the_best_row_is_left(table: UserTable, batches, left) -> None:
    assert replay(table, *batches) == left
