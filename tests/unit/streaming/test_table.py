"""Of two rows of one user, the one that has applied more is kept."""

import pytest

from stream_app.streaming.table import is_older


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
