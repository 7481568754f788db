"""Lines of `stream-app produce --items`."""

from __future__ import annotations

import pytest

from schemas import Item, RejectedMessage
from stream_app.cli.produce import parse_item


def test_a_line_is_what_is_said_of_an_item() -> None:
    said = parse_item(' {"item_id": "lamp", "title": "A lamp", "price": 3}\n')
    assert said == ("lamp", Item(item_id="lamp", title="A lamp", price=3.0))


def test_a_delisted_item_is_a_line_of_its_own() -> None:
    assert parse_item('{"item_id": "lamp", "delisted": true}') == ("lamp", None)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[]", "array"),
        ("{}", "item_id"),
        ('{"item_id": 7}', "item_id"),
        ('{"item_id": "lamp", "delisted": true, "title": "x"}', "'title'"),
        ('{"item_id": "lamp", "price": -1}', "price"),
        ('{"item_id": "lamp", "title": "a", "title": "b"}', "twice"),
        ('{"item_id": "", "delisted": true}', "1 to 256"),
    ],
)
def test_a_line_that_is_no_item_says_why(line, why) -> None:
    with pytest.raises((ValueError, RejectedMessage), match=why):
        parse_item(line)
