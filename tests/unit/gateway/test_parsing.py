"""Bodies and query strings: what a worker would reject is refused before it is sent."""

from __future__ import annotations

import pytest

from schemas import Click, Profile, Purchase
from stream_app.gateway.parsing import (
    JSON,
    LINES,
    BadRequestError,
    events_of,
    profiles_of,
    request_of,
)

NOW = 1_700_000_000_000
CLICK = b'{"user_id": "ann", "item_id": "318"}'


def test_an_object_an_array_and_lines_are_events() -> None:
    bought = b'{"user_id": "ann", "item_id": "2", "quantity": 2, "timestamp_ms": 5}'
    click = Click(user_id="ann", item_id="318", timestamp_ms=NOW)
    purchase = Purchase(user_id="ann", item_id="2", quantity=2, timestamp_ms=5)
    assert events_of(b" " + CLICK, JSON, NOW) == [click]
    assert events_of(b"[%b, %b]" % (CLICK, bought), JSON, NOW) == [click, purchase]
    assert events_of(b"%b\n\n%b\n" % (CLICK, bought), LINES, NOW) == [click, purchase]
    assert events_of(b"[]", JSON, NOW) == []


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (CLICK, "text/plain", "the content type is 'text/plain'; send application/json or"),
        (b"[" + CLICK, JSON, "the body is not JSON"),
        (b"", JSON, "event 1 of 1: "),
        (b"\xff", JSON, "event 1 of 1: "),
        (b"{}", JSON, "event 1 of 1: Object missing required field"),
        (CLICK + b"\n{", LINES, "event 2 of 2: "),
        (b'{"user_id": "ann", "item_id": 7}', JSON, "Expected `str`, got `int` - at `$.item_id`"),
        (b'{"user_id": "%b", "item_id": "1"}' % (b"\xc3\xa9" * 200), JSON, "has 400 bytes"),
        (
            b'{"user_id": "ann", "item_id": "1", "timestamp_ms": 1800000000000}', JSON,
            "is 100000000 s ahead of the clock",
        ),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_used_is_explained(body: bytes, kind: str, message: str) -> None:
    with pytest.raises(BadRequestError) as error:
        events_of(body, kind, NOW)
    assert message in str(error.value)


def test_an_address_becomes_a_request() -> None:
    query = [("k", "3"), ("exclude", "a,b"), ("seed", "c"), ("exclude", "d"), ("timeout_ms", "50")]
    request, timeout_s = request_of("ann", query, "r1", NOW)
    assert (request.user_id, request.request_id, request.k) == ("ann", "r1", 3)
    assert (request.exclude, request.seed_items) == (("a,b", "d"), ("c",))
    assert (request.deadline_ms, timeout_s) == (NOW + 50, 0.05)
    assert request_of("ann", [], "r1", NOW)[1] == 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            [("n", "3")],
            "unknown parameter 'n'; there are k, timeout_ms, scenario, query, explain, exclude, "
            "seed",
        ),
        ([("k", "3"), ("k", "4")], "k is given twice"),
        ([("k", "-3")], "k is '-3'; it must be a number"),
        ([("k", "٣")], "it must be a number"),
        ([("k", "500")], "Expected `int` <= 200 - at `$.k`"),
        ([("exclude", "x")] * 1001, "Expected `array` of length <= 1000"),
        ([("timeout_ms", "90000")], "timeout_ms is 90000; it must be from 1 to 30000"),
    ],
)
def test_an_address_that_cannot_be_used_is_explained(
    query: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(BadRequestError) as error:
        request_of("ann", query, "r1", NOW)
    assert message in str(error.value)


def test_a_query_is_part_of_an_address() -> None:
    request, _ = request_of("ann", [("query", "films about the sea")], "r1", NOW)
    assert request.query == "films about the sea"
    with pytest.raises(BadRequestError, match="length <= 1000"):
        request_of("ann", [("query", "x" * 1001)], "r1", NOW)


def test_what_is_said_of_users_is_an_object_an_array_or_lines() -> None:
    said, withdrawn = (
        b'{"user_id": "ann", "text": "the sea"}',
        b'{"user_id": "bob", "withdrawn": true}',
    )
    ann = ("ann", Profile(user_id="ann", text="the sea"))
    assert profiles_of(said, JSON) == [ann]
    assert profiles_of(b"[%b, %b]" % (said, withdrawn), JSON) == [ann, ("bob", None)]
    assert profiles_of(b"%b\n%b" % (withdrawn, said), LINES) == [("bob", None), ann]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "profile 1 of 1: `$.user_id` is missing"),
        (b'{"user_id": "ann", "text": 5}', "Expected `str | null`, got `int` - at `$.text`"),
        (b'{"user_id": "ann", "text": "%b"}' % (b"x" * 2001), "length <= 2000"),
        (b'{"user_id": "ann", "withdrawn": true, "text": "x"}', "says nothing, but here 'text' is"),
        (b'{"user_id": "ann", "attributes": {"a": {}}}', "attributes"),
    ],
)
def test_what_is_no_profile_is_explained(body: bytes, message: str) -> None:
    with pytest.raises(BadRequestError) as error:
        profiles_of(body, JSON)
    assert message in str(error.value)
