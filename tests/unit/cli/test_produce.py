"""Lines of `stream-app produce --items` and `--profiles`."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from schemas import Item, Profile, RejectedMessage
from stream_app.cli.produce import command, parse_item, parse_profile
from stream_app.errors import UserError


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


def test_a_line_is_what_is_said_of_a_user() -> None:
    said = parse_profile('{"user_id": "ann", "text": "the sea", "attributes": {"age": 41}}')
    assert said == ("ann", Profile(user_id="ann", text="the sea", attributes={"age": 41}))
    assert parse_profile('{"user_id": "ann", "withdrawn": true}') == ("ann", None)


def test_a_file_holds_items_or_profiles() -> None:
    with pytest.raises(UserError, match="--items or --profiles, not both"):
        CliRunner().invoke(command, ["--items", "--profiles"], catch_exceptions=False)
